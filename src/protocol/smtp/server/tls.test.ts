// STARTTLS and implicit TLS: nothing said in the clear survives the handshake (RFC 3207, CVE-2011-0411).

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import tls from 'node:tls'
import type { SmtpServerSession } from './session.ts'
import { codes, makeSecureContext, TestServer, until } from './test-kit.ts'

const context = makeSecureContext()
const starttls = { tls: { mode: 'starttls', secureContext: () => context }, offersAuth: true } as const
const implicit = { tls: { mode: 'implicit', secureContext: () => context }, offersAuth: true } as const

test('STARTTLS is offered before TLS and AUTH only under it', async () => {
  await using server = await TestServer.start(starttls)
  const client = await server.connect()
  const before = await client.talk('EHLO client.test')
  assert.match(before, /^250[ -]STARTTLS$/m)
  assert.doesNotMatch(before, /AUTH/)
  assert.equal(codes(await client.talk('STARTTLS')), '220 2.0.0')
  await client.startTls()
  const after = await client.talk('EHLO client.test')
  assert.doesNotMatch(after, /STARTTLS/)
  assert.match(after, /^250[ -]AUTH PLAIN LOGIN$/m)
  assert.match(server.sessions[0]!.facts.tls!.protocol, /^TLSv1\.[23]$/)
  assert.equal(codes(await client.talk('STARTTLS')), '503 5.5.1')
})

const tails: readonly [string, string | Buffer][] = [
  ['a whole dialogue', 'EHLO x\r\nMAIL FROM:<a@b.test>\r\n'],
  ['a NOOP', 'NOOP\r\n'],
  ['a second STARTTLS', 'STARTTLS\r\n'],
  ['one byte', 'N'],
  ['half a line', 'MAIL FROM:<a@b'],
  ['an empty line', '\r\n'],
  ['16 KiB', 'x'.repeat(16_384)],
]
for (const [name, tail] of tails) {
  test(`STARTTLS followed by ${name} in one segment closes the connection in the clear`, async () => {
    await using server = await TestServer.start(starttls)
    const client = await server.greeted()
    client.send(`STARTTLS\r\n${tail}`)
    const { replies, rest } = await client.untilClosed()
    assert.deepEqual(replies.map(codes), ['554 5.5.1'])
    assert.equal(rest, '')
    assert.deepEqual(server.recorder.calls, [])
    assert.equal(await server.closeReason(), 'starttls-injection')
  })
}

test('commands sent in the clear after the 220 are never answered', async () => {
  await using server = await TestServer.start(starttls)
  const client = await server.greeted()
  await client.talk('STARTTLS')
  client.send('EHLO injected\r\nMAIL FROM:<a@b.test>\r\n')
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies, [])
  assert.deepEqual(server.recorder.calls, [])
  assert.equal(await server.closeReason(), 'tls-failed')
})

const ends: readonly [string, (session: SmtpServerSession) => void][] = [
  ['makes room', session => session.makeRoom()],
  ['is destroyed', session => session.destroy()],
]
for (const [name, end] of ends) {
  for (const when of ['at once', 'before the next turn'] as const) {
    test(`a session that ${name} ${when} behind the last STARTTLS of a long turn starts no handshake`, async () => {
      await using server = await TestServer.start({ ...starttls, requiresAuth: true })
      const client = await server.greeted()
      server.recorder.replied = (code, session) => {
        if (code !== 220) return
        if (when === 'at once') end(session)
        else process.nextTick(end, session)
      }
      client.send(`${'RSET\r\n'.repeat(99)}STARTTLS\r\n`)
      await client.untilClosed()
      await until(() => server.recorder.closed === 1)
      await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
      assert.deepEqual(server.recorder.faults, [])
      assert.equal(server.ticker.size, 0)
    })
  }
}

test('STARTTLS with a parameter is 501, before EHLO and in a transaction 503', async () => {
  await using server = await TestServer.start(starttls)
  const client = await server.connect()
  assert.equal(codes(await client.talk('STARTTLS')), '503 5.5.1')
  await client.talk('EHLO client.test')
  assert.equal(codes(await client.talk('STARTTLS now')), '501 5.5.4')
  await client.talk('MAIL FROM:<a@sender.test>')
  assert.equal(codes(await client.talk('STARTTLS')), '503 5.5.1')
  await client.talk('RSET')
  assert.equal(codes(await client.talk('STARTTLS')), '220 2.0.0')
})

test('the handshake makes the session forget the HELO name', async () => {
  await using server = await TestServer.start(starttls)
  const client = await server.greeted()
  await client.talk('STARTTLS')
  await client.startTls()
  assert.equal(server.sessions[0]!.facts.helloName, '')
  assert.equal(codes(await client.talk('MAIL FROM:<a@sender.test>')), '503 5.5.1')
})

test('without TLS configured STARTTLS is not implemented', async () => {
  await using server = await TestServer.start()
  const client = await server.greeted()
  assert.equal(codes(await client.talk('STARTTLS')), '502 5.5.1')
})

test('a client of implicit TLS is greeted inside TLS and can send a message', async () => {
  await using server = await TestServer.start(implicit)
  const client = server.connectRaw()
  await client.startTls()
  assert.match(await client.reply(), /^220 /)
  assert.match(await client.talk('EHLO client.test'), /AUTH PLAIN LOGIN/)
  await client.talk('MAIL FROM:<a@sender.test>')
  await client.talk('RCPT TO:<b@rcpt.test>')
  await client.talk('DATA')
  const body = `${'x'.repeat(76)}\r\n`.repeat(3000)
  client.send(`${body}.\r\n`)
  assert.equal(codes(await client.reply()), '250 2.0.0')
  assert.equal(server.recorder.contents[0]?.text, body)
  assert.equal(codes(await client.talk('QUIT')), '221 2.0.0')
  await until(() => server.recorder.closed === 1)
  assert.equal(await server.closeReason(), 'quit')
})

test('TLS 1.1 is refused', async () => {
  await using server = await TestServer.start(implicit)
  const client = server.connectRaw()
  const old = tls.connect({
    socket: client.socket,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  await assert.rejects(
    new Promise((_, reject) => {
      old.once('error', reject)
      old.once('close', () => reject(new Error('closed')))
    }),
  )
  await until(() => server.recorder.closed === 1)
  assert.equal(await server.closeReason(), 'tls-failed')
})

test('plain text on a port of implicit TLS ends the connection without a word', async () => {
  await using server = await TestServer.start(implicit)
  const client = server.connectRaw()
  client.send('EHLO client.test\r\n')
  const { replies } = await client.untilClosed()
  assert.deepEqual(replies, [])
  await until(() => server.recorder.closed === 1)
})

for (const mode of ['starttls', 'implicit'] as const)
  test(`a client that goes away before the handshake of ${mode} TLS has begun leaves nothing behind`, async () => {
    await using server = await TestServer.start(mode === 'starttls' ? starttls : implicit)
    const client = mode === 'starttls' ? await server.greeted() : server.connectRaw()
    if (mode === 'starttls') await client.talk('STARTTLS')
    await until(() => server.sessions.length === 1)
    client.socket.end()
    assert.deepEqual(await client.untilClosed(), { replies: [], rest: '' })
    await until(() => server.recorder.closed === 1)
    assert.equal(await server.closeReason(), 'tls-failed')
    assert.equal(server.ticker.size, 0)
  })

test('a handshake that comes octet by octet is one', async () => {
  await using server = await TestServer.start(starttls)
  const client = await server.greeted()
  await client.talk('STARTTLS')
  const plain = client.socket
  const [near, far] = duplexPair()
  plain.removeAllListeners('data').on('data', chunk => void far.write(chunk))
  let sent = Promise.resolve()
  far.on('data', (chunk: Buffer) => {
    sent = sent.then(() => client.sendInPieces([...chunk].map(octet => Buffer.from([octet]))))
  })
  const secure = tls.connect({ socket: near, rejectUnauthorized: false, servername: 'mx.test' })
  await once(secure, 'secureConnect')
  secure.write('EHLO client.test\r\n')
  const [reply] = (await once(secure, 'data')) as [Buffer]
  assert.match(reply.toString(), /^250-/)
})

test('a client that goes away in the handshake leaves nothing behind', async () => {
  await using server = await TestServer.start(implicit)
  const client = server.connectRaw()
  await until(() => server.sessions.length === 1)
  client.send(Buffer.from([0x16, 0x03, 0x01, 0x02]))
  client.destroy()
  await until(() => server.recorder.closed === 1)
  assert.equal(server.ticker.size, 0)
})

test('a certificate that cannot be read ends the connection and is reported', async () => {
  const broken = (): never => {
    throw new Error('no such file')
  }
  await using server = await TestServer.start({ tls: { mode: 'starttls', secureContext: broken } })
  const client = await server.greeted()
  client.send('STARTTLS\r\n')
  await client.untilClosed()
  assert.deepEqual(server.recorder.faults, ['tls: Error: no such file'])
})

test('a certificate that TLS cannot work with ends the connection, and nothing is left of the session', async () => {
  const useless = {} as tls.SecureContext
  for (const mode of ['starttls', 'implicit'] as const) {
    await using server = await TestServer.start({ tls: { mode, secureContext: () => useless } })
    const client = mode === 'implicit' ? server.connectRaw() : await server.greeted()
    if (mode === 'starttls') await client.talk('STARTTLS')
    client.send(Buffer.from([0x16]))
    await client.untilClosed()
    assert.equal(await server.closeReason(), 'tls-failed')
    assert.equal(server.recorder.faults.length, 1)
    assert.equal(server.recorder.closed, 1)
    assert.equal(server.ticker.size, 0)
  }
})

test('on a submission listener only a few commands pass before TLS', async () => {
  await using server = await TestServer.start({ ...starttls, requiresAuth: true })
  const client = await server.connect()
  for (const line of ['EHLO x', 'HELO x', 'NOOP', 'RSET']) assert.match(await client.talk(line), /^250/, line)
  for (const line of ['MAIL FROM:<a@b.test>', 'RCPT TO:<a@b.test>', 'DATA', 'VRFY a', 'AUTH PLAIN AGEAYg=='])
    assert.match(await client.talk(line), /^530 5\.7\.0 Must issue a STARTTLS command first/, line)
  assert.deepEqual(server.recorder.credentials, [])
})
