// A start on what an earlier process, and an earlier version, has left: what was leased is free again, and the rows that
// wait, however many they are, are not looked at for it.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { recipientKey, stateCodes } from '../format/index.ts'
import { Database } from './database.ts'
import { schemaVersion } from './migrate.ts'
import { firstMigration } from './migrations/0001-first.ts'
import { databasePath, StoreWriter } from './writer.ts'

const { scheduled, leased, held } = stateCodes
const nowMs = 5000

function folder(t: TestContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-recovery-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  return dataDir
}

/** One recipient of each message: state and node of those from 1 on. */
type Left = readonly (readonly [state: number, node: number])[]

function insert(db: Database, left: Left): void {
  const row = db.prepare(
    'INSERT INTO recipient (key, state, account_key, priority, next_at_ms, reason, attempts, node, flags, domain, head)' +
      " VALUES (?, ?, 1, 5, 9000, 0, 3, ?, 0, 'example.net', zeroblob(10))",
  )
  for (const [index, [state, node]] of left.entries()) row.run(recipientKey(index + 1, 0), state, node)
}

function rows(db: Database): unknown[] {
  return db.prepare('SELECT state, node, next_at_ms FROM recipient ORDER BY key').all()
}

const left: Left = [
  [leased, 1],
  [scheduled, 1],
  [leased, 2],
  [held, 1],
  [leased, 1],
]
const recovered = [
  [scheduled, 1, nowMs],
  [scheduled, 1, 9000],
  [leased, 2, 9000],
  [held, 1, 9000],
  [scheduled, 1, nowMs],
]

test('a database of the first schema is brought along, and what was leased in it is free again', t => {
  const dataDir = folder(t)
  {
    // As the first version wrote it; the number in the application id is 'PstR'.
    using old = Database.openWriter(databasePath(dataDir))
    old.exec(`PRAGMA application_id = ${0x50_73_74_52}`)
    old.exec(firstMigration)
    old.exec('PRAGMA user_version = 1')
    insert(old, left)
  }
  using writer = StoreWriter.open({ dataDir, node: 1, nowMs })
  assert.equal(writer.db.pragma('user_version'), schemaVersion)
  assert.deepEqual(rows(writer.db), recovered)
  assert.equal(writer.db.pragma('integrity_check'), 'ok')
})

test('a start frees what this node had leased and walks through no table whose length is that of the queue', t => {
  const dataDir = folder(t)
  {
    using before = StoreWriter.open({ dataDir, node: 1, nowMs: 1 })
    insert(before.db, left)
  }
  const prepare = t.mock.method(Database.prototype, 'prepare')
  using writer = StoreWriter.open({ dataDir, node: 1, nowMs })
  const statements = prepare.mock.calls
    .map(call => call.arguments[0])
    .filter(sql => !sql.startsWith('PRAGMA'))
  assert.deepEqual(rows(writer.db), recovered)
  assert.ok(statements.length > 10, `${statements.length} statements`)
  const plans = statements.flatMap(sql =>
    writer.db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(row => `${(row as unknown as unknown[])[3]} in ${sql}`),
  )
  assert.ok(
    plans.some(plan => /^SEARCH recipient USING (COVERING )?INDEX recipient_leased/.test(plan)),
    plans.join('\n'),
  )
  // The first row in the order of a key is a walk that ends at once.
  assert.deepEqual(
    plans.filter(plan => /^SCAN (recipient|message|event|content)\b(?!.* LIMIT 1$)/.test(plan)),
    [],
  )
})
