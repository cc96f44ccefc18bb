// A disk that lied about syncs can leave an index of due recipients whose rows are gone. A lease says so and ends.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { databasePath, StoreWriter } from './writer.ts'

test('a lease on an index that names rows that are not there ends, and says that the database is damaged', t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-damaged-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  {
    using before = StoreWriter.open({ dataDir, node: 1, nowMs: 1 })
    before.db.exec(
      'INSERT INTO recipient (key, state, account_key, priority, next_at_ms, reason, attempts, node, flags, domain, head)' +
        " VALUES (65536, 0, 1, 5, 1, 0, 0, 1, 0, 'example.net', zeroblob(10))",
    )
  }
  {
    // A table with another root page: the index keeps its entry, the row is nowhere.
    using db = new DatabaseSync(databasePath(dataDir))
    db.enableDefensive(false)
    db.exec('CREATE TABLE empty (key INTEGER PRIMARY KEY); PRAGMA writable_schema = ON')
    db.exec(
      "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'empty') WHERE name = 'recipient'",
    )
    db.exec("DELETE FROM sqlite_schema WHERE name = 'empty'")
  }
  using writer = StoreWriter.open({ dataDir, node: 1, nowMs: 2 })
  assert.throws(() => writer.transaction(() => writer.lease(10, 10)), {
    code: 'PR_STORE_CORRUPT',
    isFatal: true,
    message: /postrider\.db is damaged .*\(its index of due recipients .*restore a backup/,
  })
})
