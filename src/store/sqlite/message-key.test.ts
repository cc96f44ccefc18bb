// Looking for a message by its id when no event leads to it: nobody else may wait for that.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { StoreConnection } from '../thread/connection.ts'
import { ControlClient } from '../thread/control-client.ts'
import { Database } from './database.ts'
import { QueueReader } from './queue-reader.ts'
import { databasePath, StoreWriter } from './writer.ts'

const messages = 50_000
const unknownId = Buffer.alloc(16, 0xee)

/** The id of the message with this key. */
const idOf = (key: number): Buffer => Buffer.from(key.toString(16).padStart(32, '0'), 'hex')

suite('fifty thousand messages whose events are gone', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-key-'))
  let writer: StoreWriter
  let db: Database
  let reader: QueueReader

  before(() => {
    writer = StoreWriter.open({ dataDir, node: 1, nowMs: 1 })
    const insert = writer.db.prepare(
      'INSERT INTO message (key, id, account_key, stream_key, accepted_at_ms, expires_at_ms, priority, size_bytes,' +
        " recipient_count, envelope, prefix) VALUES (?, ?, 1, 1, 1, 2, 5, 1, 1, x'00', zeroblob(300))",
    )
    const recipient = writer.db.prepare(
      'INSERT INTO recipient (key, state, account_key, priority, next_at_ms, reason, attempts, node, flags, domain, head)' +
        " VALUES (? * 65536, 0, 1, 5, 1, 0, 0, 1, 0, 'example.net', x'00')",
    )
    writer.transaction(() => {
      for (let key = 1; key <= messages; key++) {
        insert.run(key, idOf(key))
        recipient.run(key)
      }
    })
    db = Database.openReader(databasePath(dataDir))
    reader = new QueueReader(db)
  })

  after(() => {
    db.close()
    writer.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  /** Turns of the event loop until `work` is done. */
  async function turns(work: Promise<unknown>): Promise<number> {
    let count = 0
    let isDone = false
    void work.finally(() => {
      isDone = true
    })
    for (; !isDone; count++) await nextTurn()
    return count
  }

  test('an id that nobody knows is looked for in many turns of the event loop', async () => {
    assert.equal(await reader.message(unknownId), null)
    assert.ok((await turns(reader.message(unknownId))) > 10)
    assert.ok((await turns(reader.count({ messageId: unknownId }))) > 10)
  })

  test('the message is found wherever it lies', async () => {
    for (const key of [1, messages / 2, messages])
      assert.equal((await reader.count({ messageId: idOf(key) })).scheduled, 1)
  })

  test('an action on an id that nobody knows does not come to the store thread', async () => {
    const { port1, port2 } = new MessageChannel()
    const asked: unknown[] = []
    port2.on('message', message => asked.push(message))
    const connection = new StoreConnection(port1)
    const control = new ControlClient(connection, reader, () => 1)
    assert.deepEqual(await control.act({ messageId: unknownId }, { kind: 'retry' }, 1, 100), {
      done: 0,
      cursor: null,
    })
    await nextTurn()
    assert.deepEqual(asked, [])
    connection.close()
    port2.close()
  })

  test('an action changes nothing when the key is another message by now', () => {
    const act = (id: Buffer): number =>
      writer.transaction(
        () => writer.actions.step({ message: { key: 7, id } }, { kind: 'expire' }, 1, 100, '', []).done,
      )
    assert.equal(act(unknownId), 0)
  })
})
