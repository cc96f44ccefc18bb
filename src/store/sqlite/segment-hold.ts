// Keeps the store from deleting segments while a backup copies them: a shared lock on a small database of its own.
//
// Backups share the lock, the store tries to take it for itself. The kernel frees it when the backup dies, so that nothing
// stale can stay behind, and it knows no process numbers, which a container or a reboot gives to somebody else. The file
// stays: deleting it would part those who lock it. Nobody may open it with plain file calls (see lock.ts). A backup is
// often run by root, in a folder whose owner may not be trusted: it makes and locks nothing through a link that it finds,
// but for one of root's own in the place of the whole folder, by which the operator has put segments on another disk.

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
} from 'node:fs'
import { openedPath } from '../../base/index.ts'
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
    const path = holdPath(dir)
    const follow = followFlag(dir)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    makeFile(dir, follow)
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
      throw new StoreError('PR_STORE_UNWRITABLE', `${path} is not a file; remove it`)
    return new SegmentHold(Database.openShared(path))
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
    const found = lstatSync(path, { throwIfNoEntry: false })
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

/** How root opens the folder: a link of somebody else would have it make and lock a file in a folder of his choice. */
function followFlag(dir: string): number {
  if (process.geteuid?.() !== 0) return 0
  const found = lstatSync(dir, { throwIfNoEntry: false })
  if (found?.isSymbolicLink() !== true) return constants.O_NOFOLLOW
  if (found.uid === 0) return 0
  throw new StoreError(
    'PR_STORE_UNWRITABLE',
    `${dir} is a link, and not one of root: make the backup as the user of the server`,
  )
}

/** Where nothing is yet. It belongs to the owner of the folder: the server must be able to lock what root has made. */
function makeFile(dir: string, follow: number): void {
  const folder = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY | follow)
  try {
    const { uid, gid } = fstatSync(folder)
    const file = openSync(holdPath(openedPath(folder, dir)), 'wx', 0o600)
    try {
      if (process.geteuid?.() === 0) fchownSync(file, uid, gid)
    } finally {
      // Nobody of this process can have a lock on a file that is so new.
      closeSync(file)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new StoreError('PR_STORE_UNWRITABLE', `cannot write into ${dir}: ${String(error)}`, {
        cause: error,
      })
  } finally {
    closeSync(folder)
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
