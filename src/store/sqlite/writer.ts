// The one writer of a data folder: opens, migrates, recovers, and offers what a transaction may do.
//
// Owned by the store thread (or by the process itself for tests and tools). The methods do not commit: the caller wraps
// them in `transaction`, so that a whole group shares one commit.

import { existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type ClockJump, clockJumpMsMin, makeFolderDurably, syncPath } from '../../base/index.ts'
import type { LeasedMessage, LeaseShares } from '../../queue/index.ts'
import { StoreError } from '../errors.ts'
import { markDir, readMarks, removeMarks } from '../marks/index.ts'
import { SegmentLedger, type SyncFile, segmentDir } from '../segments/index.ts'
import { AccountWriter } from './account-writer.ts'
import { QueueActions } from './actions.ts'
import { ClockJumps, clockBehindMs } from './clock-jumps.ts'
import { Database, type Statement } from './database.ts'
import { DueHints } from './due-hints.ts'
import { EventWriter } from './event-writer.ts'
import { Leaser } from './leaser.ts'
import { liveExtents } from './live-extents.ts'
import { MessageWriter } from './message-writer.ts'
import { checkSchema, migrate } from './migrate.ts'
import { recoverLeases } from './recovery.ts'
import { type HoldFault, SegmentHold } from './segment-hold.ts'
import { Settler } from './settler.ts'

/** What the store needs to open. */
export interface WriterOptions {
  /** Made when missing (mode 0700). */
  readonly dataDir: string
  /** Number of this node; 1 with SQLite, where there is one. */
  readonly node: number
  /** Milliseconds since 1970: what was leased is due at this time. */
  readonly nowMs: number
  /** For tests of failing disks. */
  readonly syncSegment?: SyncFile
}

/** The database file of a data folder. */
export function databasePath(dataDir: string): string {
  return join(dataDir, 'postrider.db')
}

/** The write-ahead log of a data folder. */
export function walPath(dataDir: string): string {
  return `${databasePath(dataDir)}-wal`
}

/** The database while a restore is under way; it gets its real name last. */
export function restoringPath(dataDir: string): string {
  return `${databasePath(dataDir)}.restoring`
}

/** Makes the data folder or throws `PR_STORE_UNWRITABLE`. */
export function makeDataDir(dataDir: string): void {
  try {
    makeFolderDurably(dataDir)
  } catch (error) {
    throw new StoreError(
      'PR_STORE_UNWRITABLE',
      `the data folder ${dataDir} cannot be made: ${String(error)}`,
      {
        cause: error,
      },
    )
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/**
 * Makes a new database under another name and gives it its own when it is whole. SQLite makes one in steps, and a crash in
 * between leaves a journal that the look before opening, which must not write, could never get past.
 */
function createDatabase(path: string, dataDir: string): void {
  const unfinished = `${path}.new`
  for (const base of [unfinished, path])
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(base + suffix, { force: true })
  {
    using db = Database.openWriter(unfinished)
    migrate(db)
  }
  syncPath(unfinished)
  renameSync(unfinished, path)
  syncPath(dataDir)
}

/** Throws when segments are missing. */
function openSegments(db: Database, { dataDir, syncSegment }: WriterOptions): SegmentLedger {
  const dir = segmentDir(dataDir)
  const ledger = new SegmentLedger(dir, () => SegmentHold.isTaken(dir), syncSegment)
  ledger.load(liveExtents(db))
  return ledger
}

export class StoreWriter implements Disposable {
  readonly db: Database
  readonly messages: MessageWriter
  readonly events: EventWriter
  readonly settler: Settler
  readonly segments: SegmentLedger
  readonly hints: DueHints
  readonly actions: QueueActions
  readonly accounts: AccountWriter
  /** By how much the clock lay behind the newest event at start; 0 when it did not. */
  readonly clockBehindMs: number
  readonly #segmentDir: string
  readonly #jumps: ClockJumps
  readonly #leaser: Leaser
  readonly #tlsSeen: Statement
  readonly #probe: Statement
  readonly #changes: Statement
  /** A rollback took back what hints and jumps were told: they are read anew before they are used. */
  #isStale = false

  private constructor(db: Database, segments: SegmentLedger, options: WriterOptions) {
    this.db = db
    this.segments = segments
    this.#segmentDir = segmentDir(options.dataDir)
    this.hints = new DueHints()
    this.events = new EventWriter(db, options.node)
    this.messages = new MessageWriter(db, this.events, this.hints, options.node)
    this.settler = new Settler(db, this.messages, this.events, this.hints)
    this.actions = new QueueActions(db, this.events, this.settler, this.hints)
    this.accounts = new AccountWriter(db)
    this.#jumps = new ClockJumps(db)
    this.#jumps.prune()
    const behindMs = clockBehindMs(db, options.nowMs)
    this.clockBehindMs = behindMs < clockJumpMsMin ? 0 : behindMs
    if (this.clockBehindMs > 0) this.#moveAllBack(options.nowMs)
    else this.#jumps.forgetUndone(options.nowMs)
    this.#leaser = new Leaser(db, this.hints, options.node, this.#jumps)
    this.#tlsSeen = db.prepare('INSERT OR REPLACE INTO host_tls (host, at_ms) VALUES (?, ?)')
    this.#changes = db.prepare('SELECT total_changes()')
    this.#probe = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('probed_at_ms', ?)")
  }

  /** Opens, migrates and recovers. Throws StoreError; nothing is changed in a file that is not ours or newer. */
  static open(options: WriterOptions): StoreWriter {
    makeDataDir(options.dataDir)
    if (existsSync(restoringPath(options.dataDir)))
      throw new StoreError(
        'PR_STORE_CORRUPT',
        `a restore into ${options.dataDir} was not finished; empty the folder and run "postrider restore" again`,
      )
    const path = databasePath(options.dataDir)
    if (sizeOf(path) === 0) createDatabase(path, options.dataDir)
    else {
      // Looked at first: opening for writing sets WAL mode, which changes another program's file.
      using found = Database.openReader(path)
      checkSchema(found)
    }
    const db = Database.openWriter(path)
    try {
      migrate(db)
      const marks = markDir(options.dataDir)
      recoverLeases(db, options.node, options.nowMs, readMarks(marks))
      removeMarks(marks)
      // Behind that commit: no segment is deleted for rows that a killed process took away and did not sync.
      return new StoreWriter(db, openSegments(db, options), options)
    } catch (error) {
      db.close()
      throw error
    }
  }

  /** One durable commit for all of `work`; see Database.transaction. */
  transaction<T>(work: () => T): T {
    try {
      return this.db.transaction(work)
    } catch (error) {
      this.#isStale = true
      throw error
    }
  }

  /** Not at the rollback: a full disk brings one for each message, and each would look through all accounts. */
  #refresh(): void {
    if (!this.#isStale) return
    this.#jumps.reread()
    this.#leaser.rescan()
    this.#isStale = false
  }

  /** Rows changed since the start: a commit that changed none says nothing about the disk. */
  changesSoFar(): number {
    return (this.#changes.get() as unknown as [number])[0]
  }

  lease(recipientsMax: number, nowMs: number, shares?: LeaseShares): LeasedMessage[] {
    this.#refresh()
    return this.#leaser.lease(recipientsMax, nowMs, shares)
  }

  /** The wall clock jumped: one step of moving the stored times along. @returns where to go on, null at the end. */
  clockJumped(jump: ClockJump, fromKey: number): number | null {
    this.#refresh()
    if (fromKey === 0) this.#jumps.remember(jump)
    const next = this.#jumps.shiftStep(jump, fromKey)
    this.#leaser.rescan()
    return next
  }

  /** The clock was set back while nobody ran: the same, before anything is leased. */
  #moveAllBack(nowMs: number): void {
    const jump = { beforeMs: nowMs + this.clockBehindMs, nowMs, byMs: -this.clockBehindMs }
    for (let from: number | null = 0; from !== null; ) {
      const fromKey: number = from
      from = this.db.transaction(() => {
        const next = this.#jumps.shiftStep(jump, fromKey)
        if (next === null) this.#jumps.rememberBehind(nowMs)
        return next
      })
    }
  }

  /** Remembers that a host spoke TLS. */
  tlsSeen(host: string, atMs: number): void {
    this.#tlsSeen.run(host, atMs)
  }

  /**
   * Deletes dead segments that were held back.
   * @returns why that can never be, when something else than a backup is the reason.
   */
  sweep(): HoldFault | null {
    this.segments.sweep()
    return SegmentHold.fault(this.#segmentDir)
  }

  /** Copies the write-ahead log into the database as far as readers allow. Throws StoreError when the disk refuses. */
  checkpoint(): void {
    this.db.pragma('wal_checkpoint(PASSIVE)')
  }

  /** A smallest write, to learn whether the disk takes any. */
  probe(nowMs: number): void {
    this.#probe.run(nowMs)
  }

  close(): void {
    this.segments.close()
    this.db.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
