// The one module that knows node:sqlite (a release candidate that will be renamed): open, pragmas, transactions, errors.
//
// Durability: WAL with synchronous=FULL, so a COMMIT that returned is on disk. Pages of 4 KiB were measured cheapest
// for 4 KiB messages (8 and 16 KiB: up to 15 % more CPU a message). The WAL is checkpointed by the writer at about
// 16 MiB: small enough that the copy stays in the processor's cache and no commit waits long for it, large enough that
// pages freed by finished messages are written to the main file once, not once a message.

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { StoreError } from '../errors.ts'

/** A prepared statement. Rows come as arrays (see {@link Database.prepare}). */
export type Statement = StatementSync

const pageSizeBytes = 4096
const walBytesMax = 16 * 1024 * 1024
/**
 * Of the writer; readers take a tenth. SQLite walks a table as long as this at each commit; the
 * rest is in the system's cache.
 */
const cacheBytesMax = 8 * 1024 * 1024
const busyTimeoutMs = 10_000

const primary = {
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  notadb: 26,
}
/** Extended codes of writes that failed before anything was promised: rolled back and gone on with. */
const mendable = new Set([778, 4874])

/** What SQLite, or a statement's impossible answer, shows: fatal, since nobody knows what else is wrong in the file. */
export function damagedDatabase(path: string, why: string, cause?: unknown): StoreError {
  return new StoreError(
    'PR_STORE_CORRUPT',
    `the database ${path} is damaged or cannot be read (${why}); check the disk; if it stays so, restore a backup with "postrider restore"`,
    { cause, isFatal: true },
  )
}

/** Turns what node:sqlite throws into a StoreError; other errors come back unchanged. */
export function mapError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error
  const why = error.message
  const options = { cause: error }
  const fatal = { cause: error, isFatal: true }
  switch (error.errcode & 0xff) {
    case primary.full:
      return new StoreError('PR_STORE_FULL', `no space left on the disk of ${path}: free some space`, options)
    case primary.ioerr:
      if (mendable.has(error.errcode))
        return new StoreError('PR_STORE_FULL', `the disk of ${path} refused a write (${why})`, options)
      return new StoreError('PR_STORE_IO', `the disk of ${path} failed (${why}); check the disk`, fatal)
    case primary.corrupt:
      return damagedDatabase(path, why, error)
    case primary.notadb:
      return new StoreError(
        'PR_STORE_FOREIGN',
        `${path} is not a database; move it away, or name another data_dir`,
        fatal,
      )
    case primary.readonly:
    case primary.cantopen:
      return new StoreError(
        'PR_STORE_UNWRITABLE',
        `${path} cannot be opened for writing; check owner and permissions of the data folder`,
        options,
      )
    case primary.busy:
    case primary.locked:
      return new StoreError('PR_STORE_BUSY', `${path} is locked by another program`, options)
    default:
      return new StoreError('PR_STORE_REFUSED', `the database refused: ${why}`, options)
  }
}

/** One connection. A writer is used by one thread only; readers are cheap, one a thread. */
export class Database implements Disposable {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #begin: Statement
  readonly #commit: Statement
  readonly #rollback: Statement

  private constructor(path: string, db: DatabaseSync) {
    this.path = path
    this.#db = db
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#rollback = db.prepare('ROLLBACK')
  }

  /** Opens for writing; makes the file when it is missing. Throws StoreError. */
  static openWriter(path: string): Database {
    return Database.#open(path, false, db => {
      db.exec(`PRAGMA page_size = ${pageSizeBytes}`)
      db.exec('PRAGMA journal_mode = WAL')
      db.exec('PRAGMA synchronous = FULL')
      db.exec('PRAGMA secure_delete = OFF')
      db.exec('PRAGMA temp_store = MEMORY')
      db.exec(`PRAGMA cache_size = ${-cacheBytesMax / 1024}`)
      db.exec(`PRAGMA wal_autocheckpoint = ${walBytesMax / pageSizeBytes}`)
      // A WAL that grew behind a slow reader is cut back at the next reset.
      db.exec(`PRAGMA journal_size_limit = ${walBytesMax * 4}`)
    })
  }

  /** Opens for reading only. Every statement sees the newest commit; nothing is kept open between statements. */
  static openReader(path: string): Database {
    return Database.#open(path, true, db => {
      db.exec(`PRAGMA cache_size = ${-cacheBytesMax / 10_240}`)
      db.exec('PRAGMA temp_store = MEMORY')
    })
  }

  /**
   * Opens a small database and keeps it locked against everybody else until it is closed;
   * `PR_STORE_BUSY` when it is taken.
   */
  static openExclusive(path: string): Database {
    return Database.#open(
      path,
      false,
      db => {
        // Nothing is ever committed: a full disk is no reason to be without a lock.
        db.exec('PRAGMA journal_mode = MEMORY')
        db.exec('BEGIN EXCLUSIVE')
        // A file that may only be read is opened all the same, and that lock keeps nobody out: here it shows.
        db.exec('PRAGMA user_version = 0')
      },
      0,
    )
  }

  /**
   * As {@link openExclusive}, beside others who do the same; waits while somebody has it for himself. For reading only, so
   * that SQLite makes and changes nothing: the caller may be root in the folder of somebody else.
   */
  static openShared(path: string): Database {
    return Database.#open(path, true, db => {
      // The lock comes with the first read and goes with the transaction.
      db.exec('BEGIN')
      db.exec('SELECT count(*) FROM sqlite_schema')
    })
  }

  static #open(
    path: string,
    readOnly: boolean,
    configure: (db: DatabaseSync) => void,
    timeoutMs: number = busyTimeoutMs,
  ): Database {
    let db: DatabaseSync | null = null
    try {
      db = new DatabaseSync(path, { readOnly, timeout: timeoutMs, enableForeignKeyConstraints: false })
      configure(db)
      return new Database(path, db)
    } catch (error) {
      db?.close()
      throw mapError(error, path)
    }
  }

  /** Prepares a statement whose rows are arrays in the order of the columns. */
  prepare(sql: string): Statement {
    try {
      const statement = this.#db.prepare(sql)
      statement.setReturnArrays(true)
      return statement
    } catch (error) {
      throw mapError(error, this.path)
    }
  }

  /** Runs statements without parameters. */
  exec(sql: string): void {
    try {
      this.#db.exec(sql)
    } catch (error) {
      throw mapError(error, this.path)
    }
  }

  /** A pragma's first value. */
  pragma(name: string): unknown {
    try {
      return (this.prepare(`PRAGMA ${name}`).get() as unknown as unknown[] | undefined)?.[0]
    } catch (error) {
      throw mapError(error, this.path)
    }
  }

  /** All of `work` in one durable commit, or nothing of it. Throws StoreError, or what `work` threw. */
  transaction<T>(work: () => T): T {
    try {
      this.#begin.run()
      const result = work()
      this.#commit.run()
      return result
    } catch (error) {
      this.#undo()
      throw mapError(error, this.path)
    }
  }

  #undo(): void {
    if (!this.#db.isTransaction) return
    try {
      this.#rollback.run()
    } catch {
      // Some failures (a full disk, an I/O error) have rolled back already; the first error is the one to report.
    }
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
