// Situation: single dialogues that are as long as they may be, ours with clients, with servers and with name servers,
// one after the other (the row "event loop" of the resource-exhaustion table). None of them may keep an event loop of
// the server busy for 200 ms, but for one that the page of attacks lists among the known limits; how that is told from
// a busy machine: support/loop-watch.ts. Contents: event-loop-contents.test.ts.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { integer, sequence } from '../../src/config/der.ts'
import { makeCertificate } from '../../src/protocol/smtp/client/testing/certificates.ts'
import { queuedId } from './support/client.ts'
import { makeExpensiveChain } from './support/expensive-chain.ts'
import { type DnsAnswer, HostileDns } from './support/hostile-dns.ts'
import { message } from './support/house.ts'
import { heldMsMaxOfMost, LoopWatch, triesMax, type Work } from './support/loop-watch.ts'
import { from } from './support/odd-contents.ts'
import { Receiver } from './support/receiver.ts'
import { transaction } from './support/siege.ts'

let watch: LoopWatch
let dns: HostileDns
/** Takes the mail of all domains that the DNS server knows. */
let mx: Receiver
let talker: Server
/** One for each try: a host that failed is left alone for a while. */
let numbers: readonly Server[]
let chains: readonly Server[]
let digits: readonly Server[]

before(async () => {
  dns = await HostileDns.start(answersTo)
  mx = await Receiver.start({ host: '127.66.0.1' })
  talker = createServer(socket => talk(socket)).listen(0, '127.0.0.1')
  await once(talker, 'listening')
  const forEachTry = (make: () => Server): Server[] =>
    Array.from({ length: triesMax }, () => make().listen(0, '127.0.0.1'))
  numbers = forEachTry(largeNumbers)
  chains = forEachTry(expensiveChain)
  digits = forEachTry(hexadecimalGreeting)
  await Promise.all([...numbers, ...chains, ...digits].map(server => once(server, 'listening')))
  const portOf = (server: Server): number => (server.address() as AddressInfo).port
  const routes = {
    'talker.example': `127.0.0.1:${portOf(talker)}`,
    ...Object.fromEntries(
      Object.entries({ numbers, chains, digits }).flatMap(([name, servers]) =>
        servers.map((server, index) => {
          const scheme = name === 'digits' ? '' : 'smtps://'
          return [`${name}${index + 1}.example`, `${scheme}127.0.0.1:${portOf(server)}`]
        }),
      ),
    ),
  }
  watch = await LoopWatch.open(
    [
      `[dns]\nservers = ["127.0.0.1:${dns.port}"]`,
      `[delivery]\nport = ${mx.port}\nallow_private = ["127.0.0.0/8"]`,
      ...Object.entries(routes).map(
        ([domain, smarthost]) => `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "${smarthost}"`,
      ),
    ],
    [mx],
  )
})
after(async () => {
  for (const one of [watch, mx, dns]) await one[Symbol.asyncDispose]()
  for (const server of [talker, ...numbers, ...chains, ...digits]) server.close()
})

/** Names a test for an input. */
function input(name: string, work: Work, heldMsMax: number = heldMsMaxOfMost): void {
  test(`no event loop is held for ${heldMsMax} ms by ${name}`, { timeout: 180_000 }, t =>
    watch.bring(t, work, heldMsMax),
  )
}

const thousand = <T>(make: (index: number) => T): T[] =>
  Array.from({ length: 1000 }, (_, index) => make(index))

// ---- commands ---------------------------------------------------------------------------------------------------------

input('50,000 BDAT chunks of one octet in one write', async () => {
  await using client = await watch.siege.house.client()
  await transaction(client)
  const content = message([], `${'y'.repeat(70)}\r\n`.repeat(800)).slice(0, 50_000)
  client.write([...content].map(octet => `BDAT 1\r\n${octet}`).join(''))
  for (let i = 0; i < content.length; i++) await client.expect(250)
  client.write('BDAT 2 LAST\r\n\r\n')
  await watch.outcomes(queuedId(await client.reply()), 1)
})

input('20,000 recipients in one write', async () => {
  await using client = await watch.siege.house.client()
  assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
  client.write(Array.from({ length: 20_000 }, (_, i) => `RCPT TO:<u${i}@calm.example>\r\n`).join(''))
  for (let i = 0; i < 20_000 && (await client.replyOrEnd()) !== null; i++);
})

const label = 'l'.repeat(56)
input('1,000 recipients with addresses as long as they may be', times =>
  watch.sendToMany(
    thousand(i => `${`u${times}x${i}x`.padEnd(64, 'u')}@${label}.${label}.${label}.many.example`),
  ),
)
input('1,000 recipients in as many domains', times =>
  watch.sendToMany(thousand(i => `u@t${times}d${i}.many.example`)),
)
input('1,000 recipients in as many domains of another script', times =>
  watch.sendToMany(
    thousand(i => `ü@t${times}ü${i}${'ж'.repeat(20)}.many.example`),
    ' SMTPUTF8',
  ),
)

// ---- servers ----------------------------------------------------------------------------------------------------------

const replyBytes = 60 * 1024
/** What recipients are refused with, by the beginning of their local part. */
const texts: readonly (readonly [name: string, key: string, text: string])[] = [
  ['control characters', 'control', '\x1b[2J\x07'.repeat(replyBytes / 5)],
  ['octets that are no UTF-8', 'octets', '\xc3'.repeat(replyBytes)],
  ['blanks', 'blanks', ' '.repeat(replyBytes)],
  ['codes', 'codes', '5.7.1 550 4.2.2 '.repeat(replyBytes / 16)],
  ['addresses', 'addresses', '[192.0.2.1] '.repeat(replyBytes / 12)],
  ['one letter', 'letter', 'a'.repeat(replyBytes)],
]
const longReply = (code: number): string =>
  `${`${code}-${'long '.repeat(120)}\r\n`.repeat(95)}${code} end\r\n`

/** Says as much as may be said at every step, and refuses recipients with long texts. */
function talk(socket: Socket): void {
  let pending = ''
  let isContent = false
  socket.on('error', () => undefined)
  socket.write(longReply(220))
  socket.on('data', chunk => {
    pending += chunk.toString('latin1')
    for (let end = pending.indexOf('\r\n'); end >= 0; end = pending.indexOf('\r\n')) {
      const line = pending.slice(0, end)
      pending = pending.slice(end + 2)
      if (isContent) {
        isContent = line !== '.'
        if (!isContent) socket.write(longReply(250))
      } else if (line.startsWith('EHLO')) socket.write(`${longReply(250).slice(0, -9)}250 PIPELINING\r\n`)
      else if (line.startsWith('RCPT')) {
        const key = /<([a-z]+)/.exec(line)?.[1]
        const text = texts.find(one => one[1] === key)?.[2]
        if (text === undefined) socket.write(longReply(250))
        else socket.write(Buffer.from(`550 ${text}\r\n`, 'latin1'))
      } else if (line === 'DATA') {
        isContent = true
        socket.write(longReply(354))
      } else socket.write(longReply(250))
    }
  })
}

input('a server whose every reply has 60 KiB', () =>
  watch.submit({ parts: [`${from}\r\nx\r\n`], to: 'taken@talker.example' }),
)
for (const [name, key] of texts)
  input(`1,000 refusals of 60 KiB of ${name}`, times =>
    watch.sendToMany(thousand(i => `${key}${times}x${i}@talker.example`)),
  )

/** Its greeting could be the number of an OpenSSL error that does not end. */
function hexadecimalGreeting(): Server {
  return createServer(socket => {
    socket.on('error', () => undefined)
    socket.end(`421 ${'A'.repeat(replyBytes)}\r\n`)
  })
}

input('a greeting that refuses with 60 KiB of hexadecimal digits', async (_, tries) => {
  const to = `u@digits${tries}.example`
  assert.match(await watch.submit({ parts: [`${from}\r\nx\r\n`], to, fate: 'deferred' }), /^A{100}/)
})

/** TLS as it may be negotiated by Diffie-Hellman only, with numbers of 8,192 bits that the server has made up. */
function largeNumbers(): Server {
  const modulus = randomBytes(1024)
  modulus[0]! |= 0x80
  modulus[1023]! |= 1
  const der = sequence(integer(modulus), integer(Buffer.from([2])))
  const dhparam = `-----BEGIN DH PARAMETERS-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END DH PARAMETERS-----\n`
  const ciphers = 'DHE-RSA-AES128-GCM-SHA256'
  const server = createTlsServer({
    ...makeCertificate('numbers.example', 'rsa'),
    dhparam,
    ciphers,
    maxVersion: 'TLSv1.2',
  })
  return server.on('secureConnection', socket => socket.on('error', () => undefined).end('421 bye\r\n'))
}

input('a TLS server that wants Diffie-Hellman with 8,192 bits', (_, tries) =>
  watch.submit({ parts: [`${from}\r\nx\r\n`], to: `u@numbers${tries}.example`, fate: 'deferred' }),
)

/** A hundred kilobytes of certificates with the most expensive keys. */
function expensiveChain(): Server {
  const server = createTlsServer(makeExpensiveChain(100_000))
  return server.on('secureConnection', socket => socket.on('error', () => undefined).end('421 bye\r\n'))
}

// OpenSSL checks all of it before anybody is asked whether a valid one is wanted, and Node has no bound for it.
input(
  'a TLS server with 100 KB of certificates whose keys are expensive',
  async (_, tries) => {
    const to = `u@chains${tries}.example`
    const text = await watch.submit({ parts: [`${from}\r\nx\r\n`], to, fate: 'deferred' })
    assert.match(text, /bye/, 'the handshake was carried to its end')
  },
  1000,
)

// ---- name servers -----------------------------------------------------------------------------------------------------

/** Where the question stands in a message, and so its name. */
const questionAt = 12
const recordHeadBytes = 12

function withRecords(withQuestion: Buffer, records: readonly Buffer[]): Buffer {
  const head = Buffer.from(withQuestion)
  head.writeUInt16BE(records.length, 6)
  return Buffer.concat([head, ...records])
}

/** A record that is owned by the name at `ownerAt`. */
function record(type: number, data: Buffer, ownerAt: number): Buffer {
  const head = Buffer.alloc(recordHeadBytes)
  head.writeUInt16BE(0xc000 | ownerAt)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(60, 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

/** 1,900 MX records whose host is the one name of 126 labels that a text before them holds. */
function longNames(withQuestion: Buffer): Buffer {
  const name = Buffer.from(`${'\x01a'.repeat(126)}\0`, 'latin1')
  const text = record(16, Buffer.concat([Buffer.from([name.length]), name]), questionAt)
  const at = withQuestion.length + recordHeadBytes + 1
  const host = Buffer.from([0, 1, 0xc0 | (at >> 8), at & 255])
  return withRecords(withQuestion, [
    text,
    ...Array.from({ length: 1900 }, () => record(15, host, questionAt)),
  ])
}

/** NSEC records that claim half a million types. */
function manyTypes(withQuestion: Buffer): Buffer {
  const window = Buffer.concat([Buffer.from([1, 32]), Buffer.alloc(32, 255)])
  const data = Buffer.concat([Buffer.from([0]), ...Array.from({ length: 240 }, () => window)])
  return withRecords(
    withQuestion,
    Array.from({ length: 7 }, () => record(47, data, questionAt)),
  )
}

function answersTo(name: string, type: string): DnsAnswer {
  if (type === 'NS') return [{ type: 'NS', name, ttl: 60, data: 'ns.example' }]
  const domain = name.split('.').slice(-2).join('.')
  if (domain === 'longnames.example') return longNames
  if (domain === 'types.example') return manyTypes
  if (type === 'AAAA') return []
  if (type === 'A') return [{ type: 'A', name, ttl: 60, data: '127.66.0.1' }]
  if (domain === 'hosts.example')
    return Array.from({ length: 1600 }, (_, preference) => {
      return { type: 'MX', name, ttl: 60, data: { exchange: `h${preference}.d`, preference } }
    })
  return [{ type: 'MX', name, ttl: 60, data: { exchange: 'mx.many.example', preference: 1 } }]
}

for (const [name, domain, fate] of [
  ['1,900 hosts whose names have 126 labels', 'longnames.example', 'delivered'],
  ['records that claim half a million types', 'types.example', 'bounced'],
  ['1,600 hosts', 'hosts.example', 'delivered'],
] as const)
  input(`an answer of DNS with ${name}`, times =>
    watch.submit({ parts: [`${from}\r\nx\r\n`], to: `u@t${times}.${domain}`, fate }),
  )

// ---- and somebody looks at it -----------------------------------------------------------------------------------------

input('`message show` of 1,000 recipients that were refused at length', async times => {
  const id = await watch.sendToMany(thousand(i => `codes${times}x${i}@talker.example`))
  await watch.siege.house.server.json('message', 'show', id)
})
