// Keeps the store from deleting segments while a backup copies them: a shared lock on a small database of its own.
//
// Backups share the lock, the store tries to take it for itself. The kernel frees it when the backup dies, so that nothing
// stale can stay behind, and it knows no process numbers, which a container or a reboot gives to somebody else. The file
// stays: deleting it would part those who lock it. Nobody may open it with plain file calls (see lock.ts).

import { accessSync, chownSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { StoreError } from '../errors.ts'
import { holdPath } from '../segments/index.ts'
import { Database } from './database.ts'

/** Why the lock can never be tried, and what mends that. */
export interface HoldFault {
  readonly why: string
  readonly hint: string
}

/** The lock while a backup holds it. */
export class SegmentHold implements Disposable {
  readonly #db: Database

  private constructor(db: Database) {
    this.#db = db
  }

  /** Takes it in the folder of segments, which is made when missing. Throws StoreError. */
  static take(dir: string): SegmentHold {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const path = holdPath(dir)
    const isNew = !existsSync(path)
    const db = Database.openShared(path)
    // A backup by root must leave a file that the server can lock.
    if (isNew && process.geteuid?.() === 0) {
      const { uid, gid } = statSync(dir)
      chownSync(path, uid, gid)
    }
    return new SegmentHold(db)
  }

  /** Whether a backup holds it; true also when nobody can tell (no descriptor left, a file of another user). */
  static isTaken(dir: string): boolean {
    const path = holdPath(dir)
    if (!existsSync(path)) return false
    try {
      Database.openExclusive(path).close()
      return false
    } catch {
      return true
    }
  }

  /**
   * Why this user can never lock it, so that no segment would ever be deleted. null when he can, and when the reason passes:
   * a backup is running, no descriptor is left, the disk takes no writes.
   */
  static fault(dir: string): HoldFault | null {
    const path = holdPath(dir)
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) return null
    if (!found.isFile()) return { why: `${path} is not a file`, hint: 'remove it' }
    try {
      accessSync(path, constants.R_OK | constants.W_OK)
      Database.openExclusive(path).close()
    } catch (error) {
      if (error instanceof StoreError && error.code === 'PR_STORE_FOREIGN')
        return { why: `${path} is not the lock of a backup`, hint: 'remove it while no backup is running' }
      if ((error as NodeJS.ErrnoException).code === 'EACCES') return refusedTo(path, found)
    }
    return null
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

function refusedTo(path: string, found: { readonly uid: number; readonly mode: number }): HoldFault {
  const userId = process.geteuid?.()
  const why = `this user (${userId}) may not lock ${path} (owner ${found.uid}, mode ${(found.mode & 0o777).toString(8)})`
  return {
    why,
    hint:
      found.uid === userId ? `chmod 600 ${path}` : `as root: chown ${userId}:${process.getegid?.()} ${path}`,
  }
}
