// Keeps a second server away from the same data folder: `BEGIN EXCLUSIVE` on a small database of its own.
//
// The kernel frees the lock when the process dies, kill -9 included, so nothing stale can stay behind. Nobody may open
// data/lock with plain file calls: closing any descriptor of it would drop this process's lock (POSIX).

import { lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StoreError } from '../errors.ts'
import { Database } from './database.ts'

/** The lock while it is held. */
export class DataLock implements Disposable {
  readonly #db: Database
  readonly #pidPath: string
  #isFree = false

  private constructor(db: Database, pidPath: string) {
    this.#db = db
    this.#pidPath = pidPath
  }

  /**
   * Takes the lock of a data folder for the life of the process, or throws `PR_STORE_LOCKED` with the other's process id.
   * Hold it in the main thread.
   */
  static take(dataDir: string, pid: number = process.pid): DataLock {
    const path = join(dataDir, 'lock')
    const pidPath = join(dataDir, 'lock.pid')
    let db: Database | null = null
    try {
      // Root may be at work in somebody's folder here: no file is made or written through a link.
      if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
        throw new StoreError('PR_STORE_UNWRITABLE', `${path} is not a file; remove it`)
      db = Database.openExclusive(path)
      rmSync(pidPath, { force: true })
      writeFileSync(pidPath, `${pid}\n`, { flag: 'wx' })
      return new DataLock(db, pidPath)
    } catch (error) {
      db?.close()
      if (error instanceof StoreError && error.code === 'PR_STORE_BUSY') throw lockedError(dataDir, pidPath)
      if (error instanceof StoreError) throw error
      throw new StoreError('PR_STORE_UNWRITABLE', `cannot write into ${dataDir}: ${String(error)}`, {
        cause: error,
      })
    }
  }

  [Symbol.dispose](): void {
    if (this.#isFree) return
    this.#isFree = true
    rmSync(this.#pidPath, { force: true })
    this.#db.close()
  }
}

function lockedError(dataDir: string, pidPath: string): StoreError {
  let pid = ''
  try {
    pid = readFileSync(pidPath, 'utf8').trim()
  } catch {
    // The other server is just starting or ending: its number is not known.
  }
  return new StoreError(
    'PR_STORE_LOCKED',
    `another Postrider${pid === '' ? '' : ` (process ${pid})`} uses the data folder ${dataDir}; stop it, or name another data_dir`,
  )
}
