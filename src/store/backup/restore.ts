// Puts a backup into an empty data folder. What was waiting then may have been sent since: so nothing is sent before the
// operator has looked. Every recipient starts held, with the reason `held-by-restore` and a `held` event.
//
// 1. Check the source: manifest, schema, no damage in the database, a file for each content. Check that the target is empty,
//    and lock it: a server that starts meanwhile is refused.
// 2. Copy all files; the database under a name that a server refuses to start on.
// 3. Hold every recipient, in steps. Leave a gap in the event numbers, so that no number means two events.
// 4. Root gives all of it to the owner of the folder: the server may run as that user.
// 5. Give the database its name: only now the folder can be used.

import { existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { firstFew, handOver, makeFolderDurably, syncPath, writeFileDurably } from '../../base/index.ts'
import { eventTypes, packAction } from '../../events/index.ts'
import { StoreError } from '../errors.ts'
import { numberOf, readHead, reasonCode, recipientsMax, stateCodes } from '../format/index.ts'
import { givenUpPath, segmentDir } from '../segments/index.ts'
import { Database } from '../sqlite/database.ts'
import { EventWriter } from '../sqlite/event-writer.ts'
import { DataLock } from '../sqlite/lock.ts'
import { checkSchema, migrate } from '../sqlite/migrate.ts'
import { databasePath, restoringPath } from '../sqlite/writer.ts'
import { lackingContents } from './contents.ts'
import { copyDurably, copyTree, emptyFolder } from './files.ts'
import { type BackupManifest, copiedDatabase, isLeftOut, isLock, manifestName } from './paths.ts'

const stepRows = 1000
/** More events than can have been written since the backup. */
const eventSeqGap = 10_000_000_000

export interface RestoreOptions {
  /** A folder that `backup` made. */
  readonly source: string
  /** Empty or missing. */
  readonly dataDir: string
  readonly node: number
  readonly nowMs: number
  /** Restore although contents are missing; their messages are held like all others, and can be given up. */
  readonly mayLackContents?: boolean
}

/** Reads and checks a backup's manifest. Throws `PR_BACKUP_SOURCE`. */
export function readManifest(source: string): BackupManifest {
  try {
    const manifest = JSON.parse(readFileSync(join(source, manifestName), 'utf8')) as BackupManifest
    if (manifest.format === 1) return manifest
  } catch (error) {
    throw new StoreError(
      'PR_BACKUP_SOURCE',
      `${source} is not a finished backup (no readable ${manifestName}); name the folder that "postrider backup" made`,
      { cause: error },
    )
  }
  throw new StoreError('PR_BACKUP_SOURCE', `the backup ${source} was made by a newer Postrider`)
}

/** Opens a backup's database for reading and checks it. Throws StoreError. */
export function openBackup(source: string): Database {
  readManifest(source)
  const db = Database.openReader(join(source, copiedDatabase))
  try {
    checkSchema(db)
    const verdict = db.pragma('quick_check(1)')
    if (verdict !== 'ok')
      throw new StoreError('PR_STORE_CORRUPT', `the database of the backup ${source} is damaged: ${verdict}`)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Restores. @returns how many recipients are held now. Throws StoreError; the folder is then not usable. */
export function restore(options: RestoreOptions): number {
  const { source, dataDir, node, nowMs, mayLackContents = false } = options
  const isWhole = checkContents(source, mayLackContents)
  using _lock = takeEmpty(dataDir)
  const path = restoringPath(dataDir)
  copyDurably(join(source, copiedDatabase), path)
  copySegments(segmentDir(source), segmentDir(dataDir), dataDir)
  // The operator has said it.
  if (!isWhole) writeFileDurably(givenUpPath(segmentDir(dataDir)), '', 0o600)
  copyTree(source, dataDir, name => !isLeftOut(name), dataDir)
  let held: number
  {
    using db = Database.openWriter(path)
    migrate(db)
    db.transaction(() => {
      const last = db.prepare('SELECT max(seq) FROM event').get() as unknown as [number | null]
      db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('event_seq_floor', ?)").run(
        (last[0] ?? 0) + eventSeqGap,
      )
    })
    held = holdAll(db, node, nowMs)
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }
  syncPath(path)
  giveToOwner(dataDir)
  renameSync(path, databasePath(dataDir))
  syncPath(dataDir)
  return held
}

/** @returns whether nothing is missing; throws when something is and may not. */
function checkContents(source: string, mayLack: boolean): boolean {
  using db = openBackup(source)
  const { messages, files } = lackingContents(db, segmentDir(source))
  if (messages === 0 || mayLack) return messages === 0
  throw new StoreError(
    'PR_BACKUP_INCOMPLETE',
    `the backup ${source} lacks contents of ${messages} ${messages === 1 ? 'message' : 'messages'} (${firstFew(files)})`,
  )
}

/** Throws when it is not empty, or a server's. */
function takeEmpty(dataDir: string): DataLock {
  const what = 'the data folder'
  const next = 'stop its server and move it away, or name another data_dir in the configuration'
  emptyFolder(dataDir, what, next)
  const lock = DataLock.take(dataDir)
  try {
    // A server may have begun between the two, and ended.
    emptyFolder(dataDir, what, next, isLock)
    return lock
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/** A copy of a backup may have no folder where nothing was in it. */
function copySegments(from: string, to: string, dataDir: string): void {
  if (existsSync(from)) copyTree(from, to, () => true, dataDir)
  else makeFolderDurably(to)
}

/** Of a folder that was there before; the one that root has made is root's. */
function giveToOwner(dataDir: string): void {
  if (process.getuid?.() !== 0) return
  const { uid: userId, gid: groupId } = statSync(dataDir)
  const [refused] = handOver(dataDir, { userId, groupId })
  if (refused !== undefined)
    throw new StoreError(
      'PR_BACKUP_TARGET',
      `${refused} has another name elsewhere: somebody else writes into ${dataDir}`,
    )
}

function holdAll(db: Database, node: number, nowMs: number): number {
  const events = new EventWriter(db, node)
  const page = db.prepare(
    `SELECT r.key, r.account_key, r.head, m.id, m.stream_key FROM recipient r JOIN message m ON m.key = r.key / ${recipientsMax}` +
      ' WHERE r.key > ? ORDER BY r.key LIMIT ?',
  )
  const hold = db.prepare(
    `UPDATE recipient SET state = ${stateCodes.held}, reason = ${reasonCode('held-by-restore')}, note = 'restored' WHERE key = ?`,
  )
  type Row = [key: number, accountKey: number, head: Uint8Array, id: Uint8Array, streamKey: number]
  let total = 0
  for (let after = -1; ; ) {
    const rows = page.all(after, stepRows) as unknown as Row[]
    db.transaction(() => {
      for (const [key, accountKey, head, id, streamKey] of rows) {
        hold.run(key)
        const facts = packAction({ forwardPath: readHead(head).forwardPath, by: 'restore', note: '' })
        events.append(eventTypes.held, nowMs, accountKey, streamKey, id, numberOf(key), facts)
      }
    })
    total += rows.length
    if (rows.length < stepRows) return total
    after = rows.at(-1)![0]
  }
}
