// The PROXY header: the parser alone, then in front of a session.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import fc from 'fast-check'
import { smtpReply } from '../reply.ts'
import { parseProxyHeader } from './proxy-protocol.ts'
import { codes, makeSecureContext, TestServer, until } from './test-kit.ts'

const v2 = (command: number, family: number, payload: readonly number[]): Buffer =>
  Buffer.from([
    ...Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
    0x20 | command,
    family,
    payload.length >> 8,
    payload.length & 0xff,
    ...payload,
  ])
const ipv4 = [192, 0, 2, 7, 198, 51, 100, 1, 0x1f, 0x90, 0, 25]
const ipv6 = [
  0x20,
  1,
  0xd,
  0xb8,
  ...Array.from({ length: 11 }, () => 0),
  1,
  ...Array.from({ length: 16 }, () => 0),
  0,
  99,
  0,
  25,
]
const mappedIpv4 = [...Array.from({ length: 10 }, () => 0), 0xff, 0xff, 192, 0, 2, 7, ...ipv6.slice(16)]
const tlv = [0x04, 0x00, 0x02, 0xaa, 0xbb]

const complete: readonly [string, string | Buffer, { address: string; port: number } | null][] = [
  ['v1 TCP4', 'PROXY TCP4 192.0.2.7 198.51.100.1 8080 25\r\n', { address: '192.0.2.7', port: 8080 }],
  ['v1 TCP6', 'PROXY TCP6 2001:db8::1 ::1 99 25\r\n', { address: '2001:db8::1', port: 99 }],
  [
    'v1 TCP6 with IPv4 inside',
    'PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 8080 25\r\n',
    { address: '192.0.2.7', port: 8080 },
  ],
  [
    'v1 TCP6 with IPv4 inside in another spelling',
    'PROXY TCP6 0:0:0:0:0:FFFF:c000:207 ::1 99 25\r\n',
    { address: '192.0.2.7', port: 99 },
  ],
  [
    'v1 TCP6 in a long spelling',
    'PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 99 25\r\n',
    { address: '2001:db8::1', port: 99 },
  ],
  ['v1 UNKNOWN', 'PROXY UNKNOWN\r\n', null],
  ['v1 UNKNOWN with more', 'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', null],
  ['v2 IPv4', v2(1, 0x11, ipv4), { address: '192.0.2.7', port: 8080 }],
  ['v2 IPv4 with TLVs', v2(1, 0x11, [...ipv4, ...tlv]), { address: '192.0.2.7', port: 8080 }],
  ['v2 IPv6', v2(1, 0x21, ipv6), { address: '2001:db8::1', port: 99 }],
  ['v2 IPv6 with IPv4 inside', v2(1, 0x21, mappedIpv4), { address: '192.0.2.7', port: 99 }],
  ['v2 LOCAL', v2(0, 0x00, []), null],
  ['v2 LOCAL with addresses', v2(0, 0x11, ipv4), null],
  ['v2 UNSPEC', v2(1, 0x00, tlv), null],
]
for (const [name, header, source] of complete) {
  test(`PROXY ${name} is read, split at every byte, and what follows is left`, () => {
    const bytes = Buffer.from(header)
    for (let at = 0; at < bytes.length; at++)
      assert.equal(parseProxyHeader(bytes.subarray(0, at)).kind, 'incomplete', `at ${at}`)
    const parsed = parseProxyHeader(Buffer.concat([bytes, Buffer.from('EHLO')]))
    assert.deepEqual(parsed, { kind: 'complete', bytes: bytes.length, source })
  })
}

const badHeaders: readonly [string, string | Buffer][] = [
  ['no header', 'EHLO x\r\n'],
  ['lower case', 'proxy TCP4 192.0.2.7 198.51.100.1 8080 25\r\n'],
  ['bare LF', 'PROXY TCP4 192.0.2.7 198.51.100.1 8080 25\n'],
  ['an address that is none', 'PROXY TCP4 192.0.2.777 198.51.100.1 8080 25\r\n'],
  ['IPv6 as TCP4', 'PROXY TCP4 ::1 ::1 8080 25\r\n'],
  ['an address with a zone', 'PROXY TCP6 fe80::1%1 ::1 99 25\r\n'],
  ['a port that is none', 'PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n'],
  ['a port with zeros', 'PROXY TCP4 192.0.2.7 198.51.100.1 080 25\r\n'],
  ['a missing field', 'PROXY TCP4 192.0.2.7 198.51.100.1 8080\r\n'],
  ['two spaces', 'PROXY TCP4  192.0.2.7 198.51.100.1 8080 25\r\n'],
  ['UDP', 'PROXY UDP4 192.0.2.7 198.51.100.1 8080 25\r\n'],
  ['a line of 8 KiB', `PROXY ${'x'.repeat(8192)}`],
  ['v2 of version 3', Buffer.concat([v2(0, 0, []).subarray(0, 12), Buffer.from([0x31, 0x11, 0, 0])])],
  ['v2 of an unknown command', v2(2, 0x11, ipv4)],
  ['v2 too short', v2(1, 0x11, ipv4.slice(0, 11))],
  ['v2 over UDP', v2(1, 0x12, ipv4)],
  ['v2 with 60 KiB of TLVs', Buffer.concat([v2(0, 0, []).subarray(0, 13), Buffer.from([0x11, 0xf0, 0x00])])],
]
for (const [name, header] of badHeaders) {
  test(`PROXY with ${name} is bad`, () => {
    assert.equal(parseProxyHeader(Buffer.from(header)).kind, 'bad')
  })
}

test('random bytes behind a valid beginning never throw and never claim more than they have', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('PROXY ', 'PROXY TCP4 ', '\r\n\r\n\0\r\nQUIT\n'),
      fc.uint8Array({ maxLength: 200 }),
      (start, tail) => {
        const bytes = Buffer.concat([Buffer.from(start, 'latin1'), tail])
        const parsed = parseProxyHeader(bytes)
        assert.ok(parsed.kind !== 'complete' || parsed.bytes <= bytes.length)
      },
    ),
  )
})

test('a session behind a proxy has the address of the client', async () => {
  await using server = await TestServer.start({ proxyProtocol: 'required' })
  for (const [, header, source] of complete) {
    const client = server.connectRaw()
    client.send(Buffer.from(header))
    assert.equal(codes(await client.reply()), '220')
    const facts = server.sessions.at(-1)!.facts
    assert.equal(facts.clientAddress, source?.address ?? '127.0.0.1')
    assert.equal(facts.clientPort === source?.port, source !== null)
  }
})

test('trust is decided by the address in the header', async () => {
  await using server = await TestServer.start({
    proxyProtocol: 'required',
    requiresAuth: true,
    trustsClient: facts => facts.clientAddress === '192.0.2.7',
  })
  for (const [address, expected] of [
    ['192.0.2.7', '250 2.1.0'],
    ['192.0.2.8', '530 5.7.0'],
  ]) {
    const client = server.connectRaw()
    client.send(`PROXY TCP4 ${address} 198.51.100.1 8080 25\r\n`)
    await client.reply()
    await client.talk('EHLO x')
    assert.equal(codes(await client.talk('MAIL FROM:<a@b.test>')), expected)
  }
})

test('a missing or bad header closes the connection without a greeting', async () => {
  await using server = await TestServer.start({ proxyProtocol: 'required' })
  for (const [, header] of badHeaders) {
    const client = server.connectRaw()
    client.send(Buffer.from(header))
    const { replies, rest } = await client.untilClosed()
    assert.deepEqual([replies, rest], [[], ''])
  }
})

test('a header that does not come is waited for five seconds', async () => {
  await using server = await TestServer.start({ proxyProtocol: 'required' })
  const client = server.connectRaw()
  client.send('PROXY TCP4 ')
  await until(() => server.sessions.length === 1)
  server.ticker.advance(4900)
  assert.equal(server.sessions[0]!.isClosed, false)
  server.ticker.advance(200)
  await client.untilClosed()
  assert.equal(await server.closeReason(), 'proxy-header')
})

test('a header that nobody asked for is early talk', async () => {
  await using server = await TestServer.start()
  const client = server.connectRaw()
  client.send('PROXY TCP4 127.0.0.1 127.0.0.1 8080 25\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['554 5.5.0'])
})

test('what a client sends behind the header, before the greeting, is early talk', async () => {
  await using server = await TestServer.start({ proxyProtocol: 'required' })
  const client = server.connectRaw()
  client.send('PROXY TCP4 192.0.2.7 198.51.100.1 8080 25\r\nEHLO x\r\n')
  assert.deepEqual((await client.untilClosed()).replies.map(codes), ['554 5.5.0'])
})

const context = makeSecureContext()
const implicit = {
  proxyProtocol: 'required',
  tls: { mode: 'implicit', secureContext: () => context },
} as const
const header = 'PROXY TCP4 192.0.2.7 198.51.100.1 8080 25\r\n'

/** A client whose TLS runs over a pair of streams, so that its first record can leave in one write with the header. */
function proxiedTls(port: number): { readonly raw: net.Socket; readonly secure: tls.TLSSocket } {
  const raw = net.connect(port, '127.0.0.1')
  const [inner, outer] = duplexPair()
  const secure = tls.connect({ socket: inner, rejectUnauthorized: false, servername: 'mx.test' })
  let isFirst = true
  outer.on('data', (chunk: Buffer) => {
    raw.write(isFirst ? Buffer.concat([Buffer.from(header), chunk]) : chunk)
    isFirst = false
  })
  raw.on('data', chunk => outer.write(chunk))
  raw.on('error', () => {})
  secure.on('error', () => {})
  return { raw, secure }
}

for (const [when, opens] of [
  ['', () => null],
  [
    ', also when the handler answers later',
    () => new Promise<null>(resolve => void setTimeout(resolve, 50, null)),
  ],
] as const) {
  test(`a ClientHello in the same read as the header starts TLS${when}`, async () => {
    await using server = await TestServer.start(implicit)
    server.recorder.answers = { open: opens }
    const { raw, secure } = proxiedTls(server.port)
    const [greeting] = await once(secure, 'data')
    assert.match(String(greeting), /^220 /)
    assert.equal(server.sessions[0]!.facts.clientAddress, '192.0.2.7')
    assert.ok(server.sessions[0]!.facts.tls)
    raw.destroy()
  })
}

test('with TLS from the first byte the handler hears of the client before the handshake, which may never come', async () => {
  await using server = await TestServer.start(implicit)
  const opened: string[] = []
  server.recorder.answers = {
    open: ({ clientAddress, tls: secured }) => {
      opened.push(`${clientAddress} ${secured === null ? 'in the clear' : 'under TLS'}`)
      return null
    },
  }
  const client = server.connectRaw()
  client.send(header)
  await until(() => server.sessions.length === 1 && !server.sessions[0]!.isClosed)
  for (let turns = 0; turns < 100 && opened.length === 0; turns++) await sleep(5)
  assert.deepEqual(opened, ['192.0.2.7 in the clear'])
  await client.startTls()
  assert.match(await client.reply(), /^220 /)
  assert.equal(opened.length, 1)
})

test('who is refused there costs no handshake: the connection is closed without a word', async () => {
  await using server = await TestServer.start(implicit)
  for (const open of [
    () => smtpReply(421, '4.7.0', 'Too many'),
    () => Promise.resolve(smtpReply(421, '4.7.0', 'Too many')),
  ]) {
    const before = server.recorder.summaries.length
    server.recorder.answers = { open }
    const client = server.connectRaw()
    client.send(header)
    assert.deepEqual(await client.untilClosed(), { replies: [], rest: '' })
    await until(() => server.recorder.summaries.length > before)
    assert.equal(server.recorder.summaries.at(-1)?.reason, 'refused')
  }
  assert.equal(server.ticker.size, 0)
})

test('a drain while the handler is asked about a client of implicit TLS closes without a word', async () => {
  await using server = await TestServer.start(implicit)
  const { promise, resolve } = Promise.withResolvers<null>()
  server.recorder.answers = { open: () => promise }
  const client = server.connectRaw()
  client.send(header)
  await until(() => server.sessions.length === 1 && server.sessions[0]!.facts.clientAddress === '192.0.2.7')
  server.sessions[0]!.drain()
  resolve(null)
  assert.deepEqual(await client.untilClosed(), { replies: [], rest: '' })
  assert.equal(await server.closeReason(), 'drain')
})
