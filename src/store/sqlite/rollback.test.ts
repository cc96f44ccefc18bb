// What a rolled-back commit costs: on a full disk each message brings one, and all mail waits for the store thread.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Database } from './database.ts'
import { DueHints } from './due-hints.ts'
import { QueueReader } from './queue-reader.ts'
import { StoreWriter } from './writer.ts'

const accounts = 200

/** Messages of as many accounts, one recipient each, due at once. */
function openFilled(dataDir: string): StoreWriter {
  const writer = StoreWriter.open({ dataDir, node: 1, nowMs: 1 })
  const message = writer.db.prepare(
    'INSERT INTO message (key, id, account_key, stream_key, accepted_at_ms, expires_at_ms, priority, size_bytes,' +
      ' recipient_count, envelope, prefix) VALUES (?, ?, ?, 1, 1, 2, 5, 1, 1, zeroblob(40), NULL)',
  )
  const recipient = writer.db.prepare(
    'INSERT INTO recipient (key, state, account_key, priority, next_at_ms, reason, attempts, node, flags, domain, head)' +
      " VALUES (? * 65536, 0, ?, 5, 1, 0, 0, 1, 0, 'example.net', zeroblob(10))",
  )
  writer.transaction(() => {
    for (let key = 1; key <= accounts; key++) {
      message.run(key, Buffer.alloc(16, key), key)
      recipient.run(key, key)
    }
  })
  return writer
}

test('a rollback looks through no account, and the next lease still finds all that is due', t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-rollback-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  using writer = openFilled(dataDir)
  const noted = t.mock.method(DueHints.prototype, 'note')
  for (let i = 0; i < 50; i++)
    assert.throws(() =>
      writer.transaction(() => {
        throw new Error('does not fit')
      }),
    )
  assert.equal(noted.mock.callCount(), 0)
  // The lease takes the hints along; rolled back, it must be found again.
  assert.throws(() =>
    writer.transaction(() => {
      assert.equal(writer.lease(1000, 10).length, accounts)
      throw new Error('does not fit')
    }),
  )
  assert.equal(writer.transaction(() => writer.lease(1000, 10)).length, accounts)
})

test('an action and a list prepare no statement for each row', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-rows-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  using writer = openFilled(dataDir)
  using db = Database.openReader(writer.db.path)
  const reader = new QueueReader(db)
  const prepared = t.mock.method(Database.prototype, 'prepare')
  const { done } = writer.transaction(() =>
    writer.actions.step({}, { kind: 'hold', note: '' }, 1, 1000, '', []),
  )
  assert.equal(done, accounts)
  assert.equal((await reader.list({}, '', 1000)).rows.length, accounts)
  assert.equal((await reader.messages({}, '', 1000)).rows.length, accounts)
  assert.ok(prepared.mock.callCount() < 20, `${prepared.mock.callCount()} statements`)
})
