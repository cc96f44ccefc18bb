// What becomes of requests when the line to the store ends, and in which order answers are told.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { PackWriter } from '../../base/index.ts'
import { StoreConnection, type WriteRequest } from './connection.ts'
import { type Reply, writeReply, writeReplyEnd } from './reply-codec.ts'
import { readRequests, requestKinds, writeLease } from './request-codec.ts'

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

/** A line whose other end nobody serves. */
function line(t: TestContext): { readonly connection: StoreConnection; readonly store: MessagePort } {
  const { port1, port2 } = new MessageChannel()
  const connection = new StoreConnection(port1)
  t.after(() => {
    connection.close()
    port2.close()
  })
  return { connection, store: port2 }
}

/** The numbers of the requests that have come, packet by packet. */
function comeTo(store: MessagePort): number[][] {
  const packets: number[][] = []
  for (;;) {
    const next = receiveMessageOnPort(store) as { message: ArrayBuffer } | undefined
    if (next === undefined) return packets
    packets.push(readRequests(next.message).map(({ id }) => id))
  }
}

/** Asks for a lease. */
function askLease(connection: StoreConnection): void {
  connection.request(
    (to, _, id) => writeLease(to, id, lease),
    () => {},
  )
}

/** Asks for something for which there is no memory once so many bytes of it are written. */
function failToAsk(connection: StoreConnection, writtenBytes: number): void {
  const write: WriteRequest = to => {
    for (let i = 0; i < writtenBytes; i++) to.u8(requestKinds.lease)
    throw new RangeError('no memory')
  }
  assert.throws(() => connection.request(write, () => {}, largeBytes), /no memory/)
}

test('requests that cannot be packed hold up no others', async t => {
  const { connection, store } = line(t)
  // In more packets than may be under way.
  for (let packet = 0; packet < 4; packet++) {
    failToAsk(connection, 0)
    await nextTurn()
  }
  askLease(connection)
  await nextTurn()
  assert.deepEqual(comeTo(store).flat(), [5])
  assert.ok(!connection.isSaturated)
})

test('half a request that could not be packed spoils none of its packet', async t => {
  const { connection, store } = line(t)
  askLease(connection)
  failToAsk(connection, 3)
  askLease(connection)
  await nextTurn()
  assert.deepEqual(comeTo(store), [[1, 3]])
})

test('one that cannot be packed in its turn is answered, and those behind it come to the store', async t => {
  const { connection, store } = line(t)
  const told: string[] = []
  const ask = (name: string, write: WriteRequest, sizeBytes: number): void =>
    connection.requestInTurn(write, reply => void told.push(`${name} ${reply.kind}`), sizeBytes)
  const good: WriteRequest = (to, _, id) => writeLease(to, id, lease)
  const bad: WriteRequest = () => {
    throw new RangeError('no memory')
  }
  ask('at once', bad, 1)
  assert.deepEqual(told, ['at once broken'])
  ask('large', good, largeBytes)
  ask('bad', bad, 1)
  ask('behind', good, 1)
  assert.ok(connection.isSaturated)
  await nextTurn()
  const first = comeTo(store).flat()
  assert.equal(first.length, 1)
  const packet = new PackWriter()
  writeReply(packet, { kind: 'stored', id: first[0]!, key: 1 })
  writeReplyEnd(packet)
  const bytes = packet.view().buffer as ArrayBuffer
  store.postMessage(bytes, [bytes])
  while (told.length < 3) await nextTurn()
  assert.deepEqual(told, ['at once broken', 'large stored', 'bad broken'])
  await nextTurn()
  assert.equal(comeTo(store).flat().length, 1, 'the one behind')
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
