// Limits of a session, with a clock that moves only when told.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, TestServer, until } from './test-kit.ts'

const minute = 60_000

test('a command line over 2,048 octets is refused and the session goes on', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  assert.equal(codes(await client.talk(`NOOP ${'x'.repeat(2041)}`)), '250 2.0.0')
  assert.equal(codes(await client.talk(`NOOP ${'x'.repeat(2042)}`)), '500 5.5.2')
  assert.equal(codes(await client.talk(`FOO ${'x'.repeat(100_000)}`)), '500 5.5.2')
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('a line that never ends closes the connection with bounded memory', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  client.send('x'.repeat(1_200_000))
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['500 5.5.2'])
  assert.equal(await server.closeReason(), 'flood')
})

for (const [name, line] of [
  ['a bare LF', 'NOOP\n'],
  ['a CR inside', 'NOOP\rMAIL FROM:<a@b.test>\r\n'],
  ['a NUL', 'NOOP \0\r\n'],
  ['an escape', 'NOOP \x1b[1m\r\n'],
  ['octets that are no UTF-8', Buffer.from([0x4e, 0x4f, 0x4f, 0x50, 0x20, 0xff, 0x0d, 0x0a])],
  ['a C1 control', 'NOOP \u0085\r\n'],
] as const) {
  test(`a command line with ${name} is refused`, async () => {
    await using server = await TestServer.start()
    const client = await server.greeted()
    client.send(line)
    assert.equal(codes(await client.reply()), '500 5.5.2')
    assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
  })
}

test('a recipient over the maximum gets 452 4.5.3 and the rest is delivered', async () => {
  await using server = await TestServer.start({ limits: { rcptMax: 2 } })
  const client = await server.inTransaction()
  assert.equal(codes(await client.talk('RCPT TO:<c@rcpt.test>')), '250 2.1.5')
  assert.equal(codes(await client.talk('RCPT TO:<d@rcpt.test>')), '452 4.5.3')
  await client.talk('DATA')
  assert.equal(codes(await client.talk('.')), '250 2.0.0')
  assert.equal(server.recorder.contents[0]?.recipients.length, 2)
})

test('twenty errors end the session, and an accepted content starts the count anew', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  for (let i = 0; i < 19; i++) assert.equal(codes(await client.talk('FOO')), '500 5.5.2')
  await client.talk('MAIL FROM:<a@b.test>')
  await client.talk('RCPT TO:<b@b.test>')
  await client.talk('DATA')
  await client.talk('.')
  client.send('FOO\r\n'.repeat(25))
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies.map(codes), [...Array.from({ length: 20 }, () => '500 5.5.2'), '421 4.7.0'])
  assert.equal(await server.closeReason(), 'errors')
})

test('refused recipients count as errors for unknown clients only', async () => {
  for (const isTrusted of [false, true]) {
    await using server = await TestServer.start({ trustsClient: () => isTrusted })
    const client = await server.greeted()
    await client.talk('MAIL FROM:<a@b.test>')
    client.send('RCPT TO:<bad@b.test>\r\n'.repeat(25))
    const replies = isTrusted ? await client.replies(25) : (await client.untilClosed()).replies
    assert.equal(codes(replies.at(-1)!), isTrusted ? '550 5.1.1' : '421 4.7.0')
  }
})

test('a known client may have as many recipients refused as a message may have, and no more without a message between', async () => {
  await using server = await TestServer.start({ trustsClient: () => true, limits: { rcptMax: 50 } })
  const client = await server.inTransaction()
  const refused = 'RCPT TO:<bad@b.test>\r\n'
  client.send(refused.repeat(50))
  assert.ok((await client.replies(50)).every(reply => codes(reply) === '550 5.1.1'))
  await client.talk('DATA')
  await client.talk('.')
  await client.talk('MAIL FROM:<a@b.test>')
  client.send(refused.repeat(200))
  const { replies } = await client.untilClosed()
  assert.equal(replies.length, 52)
  assert.equal(codes(replies.at(-1)!), '421 4.7.0')
  assert.equal(await server.closeReason(), 'errors')
})

test('what a known client pipelines behind a refused MAIL or chunk counts once', async () => {
  await using server = await TestServer.start({
    trustsClient: () => true,
    maxSizeBytes: 1000,
    limits: { rcptMax: 50 },
  })
  let refuses = true
  server.recorder.answers = {
    mail: () => (refuses ? smtpReply(550, '5.7.1', 'Not your address') : smtpReply(250, '2.1.0', 'OK')),
  }
  const client = await server.greeted()
  const group = `MAIL FROM:<a@b.test>\r\n${'RCPT TO:<b@b.test>\r\n'.repeat(50)}DATA\r\n`
  for (let i = 0; i < 20; i++) {
    client.send(group)
    const refused = (await client.replies(52)).map(codes)
    assert.deepEqual(refused, ['550 5.7.1', ...Array.from({ length: 51 }, () => '503 5.5.1')])
  }
  refuses = false
  await client.talk('MAIL FROM:<a@b.test>')
  await client.talk('RCPT TO:<b@b.test>')
  client.send(`${'BDAT 600\r\n'.concat('x'.repeat(600)).repeat(40)}BDAT 0 LAST\r\n`)
  const chunks = (await client.replies(41)).map(codes)
  assert.deepEqual(chunks.slice(0, 3), ['250 2.0.0', '552 5.3.4', '503 5.5.1'])
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('commands without MAIL end the session of a stranger after twenty, of a known client after a message of them', async () => {
  for (const isTrusted of [false, true]) {
    await using server = await TestServer.start({ trustsClient: () => isTrusted, limits: { rcptMax: 50 } })
    const client = await server.greeted()
    client.send('RCPT TO:<b@b.test>\r\n'.repeat(200))
    const { replies } = await client.untilClosed()
    assert.equal(replies.length, isTrusted ? 53 : 21)
    assert.equal(codes(replies.at(-1)!), '421 4.7.0')
  }
})

test('a hundred junk commands end the session', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  for (let i = 0; i < 99; i++) assert.equal(codes(await client.talk('RSET')), '250 2.0.0')
  client.send('RSET\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['250 2.0.0', '421 4.7.0'])
  assert.equal(await server.closeReason(), 'junk')
})

test('a session takes only so many messages', async () => {
  await using server = await TestServer.start({ limits: { mailsPerSession: 2 } })
  const client = await server.greeted()
  for (let i = 0; i < 2; i++) {
    await client.talk('MAIL FROM:<a@b.test>')
    await client.talk('RSET')
  }
  client.send('MAIL FROM:<a@b.test>\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.7.0'])
})

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
  let release = (): void => {}
  let writes = 0
  server.recorder.answers = {
    content: () => ({
      bareLf: 'refuse',
      sink: {
        write: () => {
          writes++
          return new Promise(resolve => {
            release = resolve
          })
        },
        end: () => smtpReply(250, '2.0.0', 'OK'),
        abort: () => {},
      },
    }),
  }
  const client = await server.inTransaction()
  await client.talk('DATA')
  for (let i = 1; i <= 3; i++) {
    client.send('x'.repeat(2000))
    await until(() => writes === i)
    server.ticker.advance(5 * minute)
    release()
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    server.ticker.advance(1000)
  }
  client.send('\r\n.\r\n')
  await until(() => writes === 4)
  release()
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

for (const verb of [
  'GET / HTTP/1.1',
  'POST / HTTP/1.1',
  'CONNECT a:25 HTTP/1.1',
  'PUT /',
  'HEAD /',
  'OPTIONS *',
]) {
  test(`${verb} is cut off, before and after the greeting`, async () => {
    await using server = await TestServer.start()
    const client = await server.connect()
    client.send(`${verb}\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n`)
    assert.deepEqual((await client.untilClosed()).replies.map(codes), ['421 4.7.0'])
    assert.deepEqual(server.recorder.calls, [])
    const early = server.connectRaw()
    early.send(`${verb}\r\n`)
    assert.deepEqual((await early.untilClosed()).replies.map(codes), ['421 4.7.0'])
  })
}

test('a ClientHello on a plain port is cut off', async () => {
  await using server = await TestServer.start()
  const hello = Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0, 0, 1, 0])
  const client = await server.connect()
  client.send(hello)
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['500 5.5.2'])
  const early = server.connectRaw()
  early.send(hello)
  assert.deepEqual((await early.untilClosed()).replies.map(codes), ['500 5.5.2'])
})

test('the first byte of a TLS record inside an overlong line is part of the line', async () => {
  await using server = await TestServer.start()
  const client = await server.connect()
  await client.sendInPieces([Buffer.alloc(20_000, 'x'), Buffer.from('\x16\r\n')])
  assert.equal(codes(await client.reply()), '500 5.5.2')
  assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
})

test('a client that talks before the greeting is cut off', async () => {
  await using server = await TestServer.start()
  const client = server.connectRaw()
  client.send('EHLO x\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['554 5.5.0'])
  assert.equal(await server.closeReason(), 'early-talker')
})

test('a slow sink stops the reading, and memory with it', async () => {
  await using server = await TestServer.start()
  let release = (): void => {}
  let writes = 0
  let bytes = 0
  server.recorder.answers = {
    content: () => ({
      bareLf: 'refuse',
      sink: {
        write: chunk => {
          writes++
          bytes += chunk.length
          return new Promise(resolve => {
            release = resolve
          })
        },
        end: () => smtpReply(250, '2.0.0', 'OK'),
        abort: () => {},
      },
    }),
  }
  const client = await server.inTransaction()
  await client.talk('DATA')
  const total = 20_000_000
  client.send(Buffer.alloc(total, 'x'))
  await until(() => writes === 1)
  for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve))
  assert.equal(writes, 1)
  // Far more than sockets and streams can hold is still with the client.
  assert.ok(client.socket.writableLength > 0)
  client.send('\r\n.\r\n')
  const reply = client.reply()
  let isDone = false
  void reply.then(() => {
    isDone = true
  })
  while (!isDone) {
    release()
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.equal(codes(await reply), '250 2.0.0')
  assert.equal(bytes, total + 2)
})

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
