// What becomes of requests when the line to the store ends, and in which order answers are told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { PackWriter } from '../../base/index.ts'
import { StoreConnection } from './connection.ts'
import { type Reply, writeReply, writeReplyEnd } from './reply-codec.ts'
import { writeLease } from './request-codec.ts'

const lease = { recipientsMax: 1, nowMs: 1 }
/** More than may be under way at once. */
const largeBytes = 40 * 1024 * 1024

/** One request under way, one that waits for its turn, and one call; their ends in order. */
function ask(connection: StoreConnection): { readonly ends: string[]; readonly call: Promise<unknown> } {
  const ends: string[] = []
  const end =
    (name: string) =>
    (reply: Reply): void =>
      void ends.push(`${name} ${reply.kind}`)
  connection.requestInTurn((to, _, id) => writeLease(to, id, lease), end('under way'), largeBytes)
  connection.requestInTurn((to, _, id) => writeLease(to, id, lease), end('waiting'), largeBytes)
  assert.ok(connection.isSaturated)
  return { ends, call: connection.call('probe', [1]) }
}

test('when the store thread is gone, everything without an answer fails', { timeout: 10_000 }, async () => {
  const { port1, port2 } = new MessageChannel()
  const connection = new StoreConnection(port1)
  const { ends, call } = ask(connection)
  port2.close()
  await assert.rejects(call, { code: 'PR_STORE_CLOSED', message: 'the store thread is gone' })
  assert.deepEqual(ends, ['under way broken', 'waiting broken'])
  assert.throws(
    () =>
      connection.request(
        (to, _, id) => writeLease(to, id, lease),
        () => {},
      ),
    { code: 'PR_STORE_CLOSED' },
  )
  const late: Reply[] = []
  connection.requestInTurn(
    (to, _, id) => writeLease(to, id, lease),
    reply => late.push(reply),
    1,
  )
  assert.equal(late[0]?.kind, 'broken')
})

test('closing the line answers also what waits for its turn', async () => {
  const { port1, port2 } = new MessageChannel()
  const connection = new StoreConnection(port1)
  const { ends, call } = ask(connection)
  connection.close()
  assert.deepEqual(ends, ['under way broken', 'waiting broken'])
  await assert.rejects(call, { code: 'PR_STORE_CLOSED' })
  port2.close()
})

test('of the answers of a packet the leased messages are told last', async () => {
  const { port1, port2 } = new MessageChannel()
  const connection = new StoreConnection(port1)
  const told: string[] = []
  const ends = Promise.withResolvers<void>()
  for (let id = 1; id <= 4; id++)
    connection.request(
      (to, _, number) => writeLease(to, number, lease),
      reply => {
        told.push(`${reply.id} ${reply.kind}`)
        if (told.length === 4) ends.resolve()
      },
    )
  const packet = new PackWriter()
  writeReply(packet, { kind: 'settled', id: 1 })
  writeReply(packet, { kind: 'leased', id: 2, messages: [] })
  writeReply(packet, { kind: 'stored', id: 3, key: 1 })
  writeReply(packet, { kind: 'stored', id: 4, key: 2 })
  writeReplyEnd(packet)
  const bytes = packet.view().buffer as ArrayBuffer
  port2.postMessage(bytes, [bytes])
  await ends.promise
  connection.close()
  port2.close()
  assert.deepEqual(told, ['1 settled', '3 stored', '4 stored', '2 leased'])
})
