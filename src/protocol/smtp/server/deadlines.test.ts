// How long: the deadlines of a session, with a clock that moves only when told, and sinks and handlers that are slow.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codes, SlowSink, TestServer, until } from './test-kit.ts'

const minute = 60_000

test('an idle client is sent away after five minutes', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  server.ticker.advance(5 * minute)
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
  server.ticker.advance(5 * minute + 1000)
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.4.2'])
  assert.equal(await server.closeReason(), 'command-idle')
})

test('a byte now and then does not keep a command line alive', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  for (let i = 0; i < 6; i++) {
    client.send('N')
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    server.ticker.advance(minute)
  }
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.4.2'])
})

test('content that stands still for three minutes ends the session', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  client.send('half')
  await until(() => server.recorder.calls.at(-1) === 'content')
  server.ticker.advance(3 * minute + 1000)
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.4.2'])
  assert.equal(server.recorder.aborts, 1)
})

test('content slower than 500 bytes a second ends the session', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  for (let i = 0; i < 4; i++) {
    client.send('x'.repeat(1000))
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    server.ticker.advance(minute)
  }
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.4.2'])
  assert.equal(await server.closeReason(), 'content-slow')
})

test('time in which we do not take content is not the client’s', async () => {
  await using server = await TestServer.start()
  const sink = new SlowSink()
  server.recorder.answers = { content: () => ({ bareLf: 'refuse', sink }) }
  const client = await server.inTransaction()
  await client.talk('DATA')
  for (let i = 1; i <= 3; i++) {
    client.send('x'.repeat(2000))
    await until(() => sink.writes === i)
    server.ticker.advance(5 * minute)
    sink.release()
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    server.ticker.advance(1000)
  }
  client.send('\r\n.\r\n')
  await until(() => sink.writes === 4)
  sink.release()
  assert.equal(codes(await client.reply()), '250 2.0.0')
})

test('a session older than its limit ends between transactions', async () => {
  await using server = await TestServer.start()
  const idle = await server.greeted()
  const busy = await server.inTransaction()
  for (let i = 0; i < 8; i++) {
    server.ticker.advance(4 * minute)
    if (i < 7) {
      assert.equal(codes(await idle.talk('NOOP')), '250 2.0.0')
      assert.equal(codes(await busy.talk('NOOP')), '250 2.0.0')
    }
  }
  assert.deepEqual((await idle.untilClosed()).replies.map(codes), ['421 4.7.0'])
  await busy.talk('DATA')
  busy.send('.\r\n')
  assert.deepEqual((await busy.untilClosed()).replies.map(codes), ['250 2.0.0', '421 4.7.0'])
})

test('a session twice as old is cut even in a transaction', async () => {
  await using server = await TestServer.start({ limits: { sessionMs: 2 * minute } })
  const client = await server.inTransaction()
  server.ticker.advance(4 * minute + 1000)
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.7.0'])
})

test('a handler that never answers does not hold the session for ever', async () => {
  await using server = await TestServer.start()
  server.recorder.answers = { mail: () => new Promise(() => {}) }
  const client = await server.greeted()
  client.send('MAIL FROM:<a@b.test>\r\n')
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  server.ticker.advance(6 * minute)
  assert.equal(server.sessions[0]!.isClosed, false)
  server.ticker.advance(5 * minute)
  await client.untilClosed()
  assert.equal(await server.closeReason(), 'handler-time')
})

test('a slow sink stops the reading, and memory with it', async () => {
  await using server = await TestServer.start()
  const sink = new SlowSink()
  server.recorder.answers = { content: () => ({ bareLf: 'refuse', sink }) }
  const client = await server.inTransaction()
  await client.talk('DATA')
  const total = 20_000_000
  client.send(Buffer.alloc(total, 'x'))
  await until(() => sink.writes === 1)
  for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
  assert.equal(sink.writes, 1)
  // Far more than sockets and streams can hold is still with the client.
  assert.ok(client.socket.writableLength > 0)
  client.send('\r\n.\r\n')
  const reply = client.reply()
  let isDone = false
  void reply.then(() => {
    isDone = true
  })
  while (!isDone) {
    sink.release()
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.equal(codes(await reply), '250 2.0.0')
  assert.equal(sink.bytes, total + 2)
})
