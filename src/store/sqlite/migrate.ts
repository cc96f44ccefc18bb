// Brings a database to this program's schema: numbered steps, forward only, each in a commit of its own.
//
// The schema number is PRAGMA user_version; application_id tells our files from other programs' databases.

import { StoreError } from '../errors.ts'
import type { Database } from './database.ts'
import { firstMigration } from './migrations/0001-first.ts'
import { leasedIndexMigration } from './migrations/0002-leased-index.ts'

/** Step n (from 1) is at place n - 1. */
const migrations: readonly string[] = [firstMigration, leasedIndexMigration]

/** The schema that this program writes. */
export const schemaVersion: number = migrations.length

/** 'PstR' */
const applicationId = 0x50_73_74_52

/** Checks whose file it is and how old, without changing it. Throws StoreError. */
export function checkSchema(db: Database, known: number = schemaVersion): number {
  const found = Number(db.pragma('user_version'))
  const id = Number(db.pragma('application_id'))
  const tables = db.prepare('SELECT count(*) FROM sqlite_schema').get() as unknown as [number]
  if (id !== applicationId && (tables[0] > 0 || id !== 0))
    throw new StoreError(
      'PR_STORE_FOREIGN',
      `${db.path} is a database of another program; move it away, or name another data_dir`,
    )
  if (found > known)
    throw new StoreError(
      'PR_STORE_NEWER',
      `the database ${db.path} was written by a newer Postrider (schema ${found}, this one knows ${known}); install that version again`,
    )
  return found
}

/** Checks and migrates. Throws StoreError; a failed step leaves the step before it in force. */
export function migrate(db: Database): void {
  const found = checkSchema(db)
  for (let version = found + 1; version <= schemaVersion; version++)
    db.transaction(() => {
      db.exec(`PRAGMA application_id = ${applicationId}`)
      db.exec(migrations[version - 1]!)
      db.exec(`PRAGMA user_version = ${version}`)
    })
}
