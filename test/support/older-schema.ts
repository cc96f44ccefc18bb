// A data folder as an earlier version left it when it was killed: made of one of this version, which must have no rows
// that the earlier one could not hold.
//
// The tables of the first schema are made by its own migration and filled from those of today. What was committed last
// lies in the write-ahead log, as it does after a kill.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { firstMigration } from '../../src/store/sqlite/migrations/0001-first.ts'

/** These are copied last, into the log. */
const lateTables: ReadonlySet<string> = new Set(['recipient', 'event'])
const databaseName = 'postrider.db'

/** Gives the database of a folder that nobody has open the first schema, with all its rows. */
export function makeFirstSchema(dataDir: string): void {
  const scratch = mkdtempSync(join(tmpdir(), 'postrider-older-'))
  const present = join(dataDir, databaseName)
  const older = join(scratch, databaseName)
  try {
    using db = new DatabaseSync(older)
    db.exec('PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0')
    using of = new DatabaseSync(present)
    const { application_id: applicationId } = of.prepare('PRAGMA application_id').get()!
    db.exec(`PRAGMA application_id = ${applicationId}; ${firstMigration}; PRAGMA user_version = 1`)
    db.exec(`ATTACH '${present}' AS present`)
    const tables = names(db, "SELECT name FROM main.sqlite_schema WHERE type = 'table'")
    for (const table of tables.filter(name => !lateTables.has(name))) copyRows(db, table)
    db.exec('PRAGMA main.wal_checkpoint(TRUNCATE)')
    for (const table of lateTables) copyRows(db, table)
    of.close()
    db.exec('DETACH present')
    for (const suffix of ['', '-wal', '-shm']) rmSync(present + suffix, { force: true })
    for (const suffix of ['', '-wal']) cpSync(older + suffix, present + suffix)
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

function copyRows(db: DatabaseSync, table: string): void {
  const columns = names(db, `SELECT name FROM pragma_table_info('${table}', 'main')`).join(', ')
  db.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM present.${table}`)
}

function names(db: DatabaseSync, sql: string): string[] {
  return db
    .prepare(sql)
    .all()
    .map(row => String(row['name']))
}
