// Clients that do not read our replies, clients that make room for others, and clients that send a flood of commands.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, TestServer, until } from './test-kit.ts'

/** Sends refused recipients without reading the refusals, until the session stops reading. */
async function fill(server: TestServer): Promise<() => void> {
  const client = await server.inTransaction()
  client.socket.pause()
  const commands = 'RCPT TO:<bad@rcpt.test>\r\n'.repeat(2000)
  const more = (): void => {
    if (client.socket.writableLength === 0) client.send(commands)
  }
  const refusedBefore = (): number => server.recorder.calls.length
  let calls = -1
  // Kernel buffers of both sides fill up first; then nothing more is asked of the handler.
  for (let stillFor = 0; stillFor < 50; stillFor++) {
    more()
    await new Promise(resolve => setTimeout(resolve, 5))
    if (refusedBefore() !== calls) stillFor = 0
    calls = refusedBefore()
  }
  return () => void client.socket.resume()
}

test('a client that never reads its replies is closed after a minute, with little kept for it', async () => {
  await using server = await TestServer.start({ trustsClient: () => true, limits: { rcptMax: 1e9 } })
  await fill(server)
  server.ticker.advance(30_000)
  assert.equal(server.sessions[0]!.isClosed, false)
  server.ticker.advance(31_000)
  assert.equal(await server.closeReason(), 'replies-unread')
})

test('a client that reads late but in time goes on, and the minute begins anew', async () => {
  await using server = await TestServer.start({ trustsClient: () => true, limits: { rcptMax: 1e9 } })
  const read = await fill(server)
  const calls = server.recorder.calls.length
  server.ticker.advance(50_000)
  read()
  await until(() => server.recorder.calls.length > calls)
  server.ticker.advance(50_000)
  assert.equal(server.sessions[0]!.isClosed, false)
})

test('a client that reads only after it has closed its side gets every reply', async () => {
  await using server = await TestServer.start({ trustsClient: () => true, limits: { rcptMax: 1e9 } })
  let calls = 0
  const lines = Array.from({ length: 40 }, () => 'x'.repeat(480))
  server.recorder.answers = {
    rcpt: () => {
      calls++
      return { code: 550, enhanced: '5.1.1', lines }
    },
  }
  const client = await server.inTransaction()
  calls = 0
  client.socket.pause()
  let sent = 0
  const send = (): void => {
    client.send('RCPT TO:<b@rcpt.test>\r\n'.repeat(10))
    sent += 10
  }
  const settled = async (): Promise<void> => {
    for (let before = -1; before !== calls; ) {
      before = calls
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
  // Kernel buffers of both sides fill up first; then commands are left unanswered.
  for (; calls === sent; await settled()) send()
  client.socket.end()
  await settled()
  client.socket.resume()
  const { replies } = await client.untilClosed()
  assert.equal(replies.length, sent)
  assert.equal(await server.closeReason(), 'client-gone')
})

test('a stranger is a client that must log in and has not; trusted ones are none', async () => {
  await using server = await TestServer.start({ requiresAuth: true })
  await server.greeted()
  server.ticker.advance(7000)
  assert.equal(server.sessions[0]!.strangerMs, 7000)
  await using open = await TestServer.start({ requiresAuth: false })
  await open.greeted()
  assert.equal(open.sessions[0]!.strangerMs, null)
  await using trusting = await TestServer.start({ requiresAuth: true, trustsClient: () => true })
  await trusting.greeted()
  assert.equal(trusting.sessions[0]!.strangerMs, null)
})

test('a session that makes room says why and ends at once', async () => {
  await using server = await TestServer.start({ requiresAuth: true })
  const client = await server.greeted()
  server.sessions[0]!.makeRoom()
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.3.2'])
  assert.equal(await server.closeReason(), 'crowded')
})

test('a flood of pipelined commands is worked on a hundred a turn, and every reply comes', async () => {
  await using server = await TestServer.start({ trustsClient: () => true, limits: { rcptMax: 1e9 } })
  const client = await server.inTransaction()
  let inTurn = 0
  let mostInTurn = 0
  server.recorder.answers = {
    rcpt: () => {
      mostInTurn = Math.max(mostInTurn, ++inTurn)
      return smtpReply(550, '5.1.1', 'No such recipient')
    },
  }
  const other = await server.inTransaction()
  let isOver = false
  const turn = (): void => {
    inTurn = 0
    if (!isOver) setImmediate(turn)
  }
  turn()
  other.send(`${'RCPT TO:<b@rcpt.test>\r\n'.repeat(3000)}QUIT\r\n`)
  other.socket.end()
  const { replies } = await other.untilClosed()
  isOver = true
  assert.equal(replies.length, 3001, 'also the commands behind which the client closed its side')
  // The look for the turn's end may come behind a turn of the session.
  assert.ok(mostInTurn <= 200, `${mostInTurn} in one turn`)
  client.destroy()
})
