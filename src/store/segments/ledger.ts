// The store thread's book of segments: syncs what a group names before its COMMIT, counts live bytes, deletes the dead.
//
// A segment is deleted when no content in it is live and its writer has sealed it (sealing travels after the last accept
// that names it). Segments are never rewritten in place: a mostly dead one stays until its last content is final.
// Files found at start that no message names are leftovers of aborted or crashed uploads and go at once; where one is missing
// that a message names, the start is refused first (decision 0038). While a running backup holds the folder nothing is
// deleted; what was due is deleted later.
//
// Freeing comes after a COMMIT and must not fail: what cannot be looked at or deleted now is left for the next sweep.

import { closeSync, existsSync, fdatasyncSync, openSync, readdirSync, rmSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { firstFew, makeFolderDurably, syncPath } from '../../base/index.ts'
import type { Extent } from '../../queue/index.ts'
import { StoreError } from '../errors.ts'
import { givenUpPath, nameOf, segmentOf, segmentPath } from './paths.ts'

interface Segment {
  liveBytes: number
  isSealed: boolean
  /** Open for syncing; null before the first sync and after sealing. */
  descriptor: number | null
}

/** How files are synced; tests hand in one that fails. */
export type SyncFile = (descriptor: number) => void

export class SegmentLedger {
  readonly #dir: string
  readonly #isHeld: () => boolean
  readonly #sync: SyncFile
  readonly #segments = new Map<number, Segment>()
  /** Their sync failed: what the page cache says of them is not trusted again, also when they are deleted. */
  readonly #distrusted = new Set<number>()
  #isDirSynced = false
  /** Why the last sync that failed did, for the log. */
  lastError = ''
  /** Dead segments that a backup keeps from being deleted. */
  readonly #due = new Set<number>()

  /** @param isHeld whether a backup needs the files as they are; must not throw */
  constructor(dir: string, isHeld: () => boolean, sync: SyncFile = fdatasyncSync) {
    this.#dir = dir
    this.#isHeld = isHeld
    this.#sync = sync
    makeFolderDurably(dir)
  }

  /**
   * At start: every file is sealed, live bytes come from the message rows. Throws `PR_STORE_INCOMPLETE`, with no file
   * changed, when a live content has none. Costs one look at the folder, and none at each file.
   */
  load(live: Iterable<readonly Extent[]>): void {
    for (const name of readdirSync(this.#dir)) {
      const segment = segmentOf(name)
      if (segment !== null) this.#segments.set(segment, { liveBytes: 0, isSealed: true, descriptor: null })
    }
    for (const extents of live) this.add(extents)
    const missing = [...this.#segments.keys()].filter(segment => !this.#of(segment).isSealed)
    const areGivenUp = existsSync(givenUpPath(this.#dir))
    if (missing.length > 0 && !areGivenUp) throw missingError(this.#dir, missing)
    if (areGivenUp) this.#giveUp(missing)
    for (const segment of [...this.#segments.keys()]) this.#freeWhenDead(segment)
  }

  /** Puts an empty file in the place of each: reads from it fail, and the next start misses nothing. */
  #giveUp(missing: readonly number[]): void {
    for (const segment of missing) {
      closeSync(openSync(segmentPath(this.#dir, segment), 'wx', 0o600))
      this.#of(segment).isSealed = true
    }
    // What goes missing later has not been given up.
    rmSync(givenUpPath(this.#dir))
    syncPath(this.#dir)
  }

  /**
   * Makes the named segments durable. A segment whose sync fails is distrusted from then on.
   * @returns the segments of these that must not be relied on.
   */
  sync(segments: ReadonlySet<number>): ReadonlySet<number> {
    const failed = new Set<number>()
    for (const segment of segments) {
      if (this.#distrusted.has(segment) || !this.#syncOne(segment)) failed.add(segment)
    }
    if (!this.#isDirSynced && segments.size > 0) this.#syncDir(segments, failed)
    return failed
  }

  /** Contents that are committed now. */
  add(extents: readonly Extent[]): void {
    for (const extent of extents) this.#of(extent.segment).liveBytes += extent.sizeBytes
  }

  /** Contents whose last recipient is final, after that commit. */
  release(extents: readonly Extent[]): void {
    for (const extent of extents) {
      this.#of(extent.segment).liveBytes -= extent.sizeBytes
      this.#freeWhenDead(extent.segment)
    }
  }

  /** The writer appends nothing more and has sent every accept that names the segment. */
  seal(segment: number): void {
    const known = this.#of(segment)
    known.isSealed = true
    if (known.descriptor !== null) closeSync(known.descriptor)
    known.descriptor = null
    this.#freeWhenDead(segment)
  }

  /** Deletes what a finished backup has held back. */
  sweep(): void {
    for (const segment of [...this.#due]) this.#freeWhenDead(segment)
  }

  /** Live bytes of each segment, for tests and metrics. */
  liveBytes(): ReadonlyMap<number, number> {
    return new Map([...this.#segments].map(([segment, known]) => [segment, known.liveBytes]))
  }

  close(): void {
    for (const known of this.#segments.values()) {
      if (known.descriptor !== null) closeSync(known.descriptor)
      known.descriptor = null
    }
  }

  #of(segment: number): Segment {
    let known = this.#segments.get(segment)
    if (known === undefined) {
      known = { liveBytes: 0, isSealed: false, descriptor: null }
      this.#segments.set(segment, known)
      this.#isDirSynced = false
    }
    return known
  }

  #syncOne(segment: number): boolean {
    const known = this.#of(segment)
    try {
      known.descriptor ??= openSync(segmentPath(this.#dir, segment), 'r+')
    } catch (error) {
      this.lastError = (error as Error).message
      // Nothing was written off: with a descriptor to spare the same bytes can still be synced.
      return false
    }
    try {
      this.#sync(known.descriptor)
      return true
    } catch (error) {
      this.lastError = (error as Error).message
      this.#distrusted.add(segment)
      return false
    }
  }

  #syncDir(segments: ReadonlySet<number>, failed: Set<number>): void {
    try {
      syncPath(this.#dir)
      this.#isDirSynced = true
    } catch (error) {
      const { message, syscall } = error as NodeJS.ErrnoException
      this.lastError = message
      for (const segment of segments) {
        failed.add(segment)
        // A second fsync would say nothing about the entries that the first one lost.
        if (syscall === 'fsync') this.#distrusted.add(segment)
      }
    }
  }

  #freeWhenDead(segment: number): void {
    const known = this.#segments.get(segment)
    if (known === undefined || !known.isSealed || known.liveBytes > 0) return
    if (this.#isHeld()) {
      this.#due.add(segment)
      return
    }
    this.#due.delete(segment)
    this.#segments.delete(segment)
    // Off the store thread: deleting a large file may take milliseconds. A failure leaves a file for the next start.
    unlink(segmentPath(this.#dir, segment)).catch(() => {})
  }
}

function missingError(dir: string, missing: readonly number[]): StoreError {
  const names = firstFew(missing.map(nameOf))
  const files = missing.length === 1 ? '1 segment file is' : `${missing.length} segment files are`
  return new StoreError(
    'PR_STORE_INCOMPLETE',
    `${files} not in ${dir} (${names}), and messages wait with contents in there: is the disk mounted? ` +
      `mount it, or put the files back, and start again; if they are lost for good: touch ${givenUpPath(dir)}, and start again`,
  )
}
