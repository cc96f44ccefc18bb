// Keeps the store from deleting segments while a backup copies them: a shared lock on a small database of its own.
//
// Backups share the lock, the store tries to take it for itself. The kernel frees it when the backup dies, so that nothing
// stale can stay behind, and it knows no process numbers, which a container or a reboot gives to somebody else. The file
// stays: deleting it would part those who lock it. Nobody may open it with plain file calls (see lock.ts).

import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { holdPath } from '../segments/index.ts'
import { Database } from './database.ts'

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

  [Symbol.dispose](): void {
    this.#db.close()
  }
}
