// How many and how large: lines, recipients, errors, junk, messages; and what is no SMTP at all.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { codes, TestServer } from './test-kit.ts'

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
  ['a CR inside', 'NOOP\rMAIL FROM:<a@b.test>\r\n'],
  ['a NUL', 'NOOP \0\r\n'],
  ['an escape', 'NOOP \x1b[1m\r\n'],
  ['octets that are no UTF-8', Buffer.from([0x4e, 0x4f, 0x4f, 0x50, 0x20, 0xff, 0x0d, 0x0a])],
  ['a C1 control', 'NOOP \u0085\r\n'],
  ['a line separator of Unicode', 'NOOP \u2028\r\n'],
] as const) {
  test(`a command line with ${name} is refused`, async () => {
    await using server = await TestServer.start()
    const client = await server.greeted()
    client.send(line)
    assert.equal(codes(await client.reply()), '500 5.5.2')
    assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
  })
}

test('a bare LF is no line end: what stands behind it, up to CRLF, is refused with it and never obeyed', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  for (const text of ['NOOP\nNOOP\r\n', '\nNOOP\r\n', `${'x'.repeat(3000)}\nNOOP\r\n`]) {
    for (const octet of text) client.send(octet)
    assert.match(codes(await client.reply()), /^500 5\.5\.[26]$/)
    assert.equal(codes(await client.reply()), '500 5.5.2')
    assert.equal(codes(await client.talk('NOOP')), '250 2.0.0')
  }
  // A line that is too long ends all the same where it ends, also when its CR came before what was dropped.
  client.send('x'.repeat(3000))
  client.send('\r')
  client.send('\nNOOP\r\n')
  assert.match(codes(await client.reply()), /^500/)
  assert.equal(codes(await client.reply()), '250 2.0.0')
})

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
