// How a session ends: drained, destroyed, by its last reply; and what it leaves behind.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, makeSecureContext, TestServer, until } from './test-kit.ts'

test('a drain ends idle sessions at once and the others after their transaction', async () => {
  await using server = await TestServer.start()
  const idle = await server.greeted()
  const busy = await server.inTransaction()
  for (const session of server.sessions) session.drain()
  assert.deepEqual((await idle.untilClosed()).replies.map(codes), ['421 4.3.2'])
  assert.equal(codes(await busy.talk('DATA')), '354')
  busy.send('x\r\n.\r\n')
  assert.deepEqual((await busy.untilClosed()).replies.map(codes), ['250 2.0.0', '421 4.3.2'])
  assert.equal(server.recorder.contents.length, 1)
})

test('destroy aborts an open content and a late acceptance', async () => {
  await using server = await TestServer.start()
  const client = await server.inTransaction()
  await client.talk('DATA')
  server.sessions[0]!.destroy()
  await client.untilClosed()
  assert.equal(server.recorder.aborts, 1)
  let accept = (): void => {}
  let aborts = 0
  server.recorder.answers = {
    content: () =>
      new Promise(resolve => {
        const sink = { write: () => {}, end: () => smtpReply(250, '2.0.0', 'OK'), abort: () => void aborts++ }
        accept = () => resolve({ bareLf: 'refuse', sink })
      }),
  }
  const late = await server.inTransaction()
  late.send('DATA\r\n')
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  server.sessions[1]!.destroy()
  accept()
  await late.untilClosed()
  await until(() => aborts === 1)
})

for (const method of ['mail', 'rcpt', 'content'] as const) {
  test(`destroy from within ${method} of the handler ends the session, and its answer is given up`, async () => {
    for (const doesThrow of [false, true]) {
      await using server = await TestServer.start()
      let aborts = 0
      const sink = { write: () => {}, end: () => smtpReply(250, '2.0.0', 'OK'), abort: () => void aborts++ }
      const destroyed = <T>(answer: T): T => {
        server.sessions[0]!.destroy()
        if (doesThrow) throw new Error('boom')
        return answer
      }
      server.recorder.answers = {
        [method]: () =>
          destroyed(method === 'content' ? { bareLf: 'refuse', sink } : smtpReply(250, '2.1.0', 'OK')),
      }
      const client = await server.greeted()
      client.send('MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n')
      await client.untilClosed()
      assert.equal(await server.closeReason(), 'destroyed')
      assert.equal(server.recorder.faults.length, doesThrow ? 1 : 0)
      assert.equal(aborts, method === 'content' && !doesThrow ? 1 : 0)
    }
  })
}

test('a client that does not close after the last reply is cut off after a while', async () => {
  await using server = await TestServer.start()
  const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  await once(socket, 'data')
  socket.write('GET / HTTP/1.1\r\n')
  socket.resume()
  await once(socket, 'end')
  assert.equal(server.sessions[0]!.isClosed, false)
  server.ticker.advance(6000)
  assert.equal(await server.closeReason(), 'not-smtp')
  socket.destroy()
})

test('after QUIT the connection is closed at once, and the client still reads the last reply', async () => {
  await using server = await TestServer.start()
  const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
  let received = ''
  socket.on('data', chunk => (received += chunk.toString('latin1')))
  await once(socket, 'data')
  socket.write('QUIT\r\n')
  await once(socket, 'end')
  assert.match(received, /^220 .*\r\n221 2\.0\.0 .*\r\n$/)
  assert.equal(await server.closeReason(), 'quit')
  socket.destroy()
})

test('sessions that ended leave nothing on the ticker', async () => {
  await using server = await TestServer.start()
  for (let i = 0; i < 20; i++) {
    const client = await server.connect()
    client.destroy()
  }
  await until(() => server.recorder.closed === 20)
  assert.equal(server.ticker.size, 0)
})

test('TLS sessions with a login that are reset in DATA or BDAT leave no timer, no handle and nothing on the ticker', async () => {
  const context = makeSecureContext()
  const secure = { tls: { mode: 'starttls', secureContext: () => context }, offersAuth: true } as const
  await using server = await TestServer.start(secure)
  const { recorder, ticker } = server
  const held = (): number =>
    process.getActiveResourcesInfo().filter(name => /Timeout|TCPSocket|TLS/.test(name)).length
  const round = async (number: number): Promise<void> => {
    const client = await server.greeted()
    const below = client.socket
    await client.talk('STARTTLS')
    await client.startTls()
    const login = `AUTH PLAIN ${Buffer.from('\0bob\0secret').toString('base64')}`
    const lines = ['EHLO client.test', login, 'MAIL FROM:<a@sender.test>', 'RCPT TO:<b@rcpt.test>']
    for (const line of lines) assert.match(await client.talk(line), /^2/)
    if (number % 2 === 0) assert.equal(codes(await client.talk('DATA')), '354')
    client.send(number % 2 === 0 ? 'half' : 'BDAT 1000\r\nhalf')
    await until(() => recorder.calls.filter(call => call === 'content').length === number)
    below.resetAndDestroy()
    await until(() => recorder.closed === number)
  }
  // What the first ones take for good is no leak.
  for (let number = 1; number <= 10; number++) await round(number)
  const before = held()
  for (let number = 11; number <= 110; number++) await round(number)
  for (let turn = 0; turn < 1000 && held() > before; turn++)
    await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual([held(), ticker.size, recorder.aborts], [before, 0, 110])
})
