// Situation: clients that send what never ends or is far too much (the rows "huge line", "headers" and "MIME nesting" of
// the resource-exhaustion table, and recipients and commands without end). Each is refused, or relayed, with bounded
// memory, and an ordinary client is served meanwhile.

import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { createHash } from 'node:crypto'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientReply, queuedId, SmtpClient } from './support/client.ts'
import { type Login, makeAccount, message, waitForAll } from './support/house.ts'
import { from, repeated, structures } from './support/odd-contents.ts'
import { Receiver } from './support/receiver.ts'
import { closed, describe, pour, rawConnection, Siege, transaction } from './support/siege.ts'

const mebibyte = 1024 * 1024
/** Far less than what is sent, and enough for the buffers and the garbage of a busy minute (MiB). */
const growthMax = 96
/** Fifty contents, as they came and re-encoded, are 65 MB. */
const manyPartsMax = 250
const noise = Buffer.alloc(64 * 1024, 'x')
/** What a client may have written when a line without end is cut off after 1 MiB: the rest is on its way. */
const lineMax = 16 * mebibyte

/** A door that keeps contents in memory to their end, since their lines may have to be encoded. */
const encodingDoor = 'networks = ["127.60.0.0/16"]\naccount = "acme"\nlong_lines = "encode"'

let siege: Siege
/** A server that lacks 8BITMIME. */
let seven: Receiver
/** Another, which holds each message for a while and has many connections. */
let slowSeven: Receiver
before(async () => {
  seven = await Receiver.start({ keywords: ['PIPELINING'] })
  slowSeven = await Receiver.start({
    keywords: ['PIPELINING'],
    endOfData: async () => {
      await sleep(1000)
      return '250 2.0.0 taken'
    },
  })
  const routes = [
    ['seven.example', seven],
    ['slow.example', slowSeven],
  ] as const
  const route = routes
    .map(([to, { port }]) => `[[route]]\nrecipient_domain = "${to}"\nsmarthost = "127.0.0.1:${port}"\n`)
    .join('')
  // Short attacks come again and again, all from one address: its rate is not what is tested here.
  const limits = '[limits]\nconnection_rate_per_address = 1000000\n[delivery]\nconnections_per_site = 60\n'
  siege = await Siege.open({ toml: route + limits, relay: encodingDoor })
})
after(async () => {
  await siege[Symbol.asyncDispose]()
  await seven[Symbol.asyncDispose]()
  await slowSeven[Symbol.asyncDispose]()
})

/**
 * As many that what they send exceeds `growthMax` by far when it is held, although each
 * stays below the size of a message.
 */
const manyAtOnce = 12

function atOnce(attack: () => Promise<void>): () => Promise<void> {
  return async () => void (await Promise.all(Array.from({ length: manyAtOnce }, attack)))
}

/** Runs an attack beside ordinary mail and notes what it cost. */
async function attacked(t: TestContext, attack: () => Promise<void>, max: number = growthMax): Promise<void> {
  t.diagnostic(describe(await siege.during(attack, max)))
}

/** Sends a content of any make in a transaction of its own; the reply to its end. */
async function submit(
  parts: Iterable<string | Buffer>,
  to: string = 'bob@calm.example',
): Promise<ClientReply> {
  await using client = await siege.house.client()
  await transaction(client, to)
  assert.equal((await client.command('DATA')).code, 354)
  for (const part of parts) await client.writeAll(part)
  client.write('.\r\n')
  return await client.reply()
}

// ---- lines and contents without end -------------------------------------------------------------------------------

test('a command of 100 MiB without a line end closes the connection', t =>
  attacked(t, async () => {
    const socket = await rawConnection(siege.house.ports.submission)
    let said = ''
    socket.on('data', chunk => {
      said += String(chunk)
    })
    await new Promise(resolve => socket.once('data', resolve))
    const sent = await pour(socket, noise, 100 * mebibyte)
    await closed(socket)
    assert.ok(sent <= lineMax, `closed only after ${sent} bytes`)
    assert.match(said, /\r\n500 5\.5\.2 /)
  }))

test('a login line of 100 MiB closes the connection', t =>
  attacked(t, async () => {
    await using client = await SmtpClient.connect(siege.house.ports.submissions, { isTls: true })
    await client.hello()
    assert.equal((await client.command('AUTH PLAIN')).code, 334)
    const sent = await client.writeEndless(noise, 100 * mebibyte)
    assert.ok(sent <= lineMax, `closed only after ${sent} bytes`)
    assert.match((await client.reply()).text, /^500 5\.5\.2 /)
    await client.ended()
  }))

for (const [where, head] of [
  ['header', 'X-Long: '],
  ['body', `${from}\r\n`],
] as const)
  test(`contents with a ${where} line of 120 MiB, twelve at once, close their connections`, t =>
    attacked(
      t,
      atOnce(async () => {
        await using client = await siege.house.client()
        await transaction(client)
        assert.equal((await client.command('DATA')).code, 354)
        client.write(head)
        await client.writeEndless(noise, 120 * mebibyte)
        assert.match((await client.reply()).text, /^552 5\.3\.4 /)
        await client.ended()
      }),
    ))

test('body lines of 20 MiB, twelve at once, are refused at the end of data, and the sessions go on', t =>
  attacked(
    t,
    atOnce(async () => {
      await using client = await siege.house.client()
      await transaction(client)
      assert.equal((await client.command('DATA')).code, 354)
      client.write(`${from}\r\n`)
      await client.writeEndless(noise, 20 * mebibyte)
      client.write('\r\n.\r\n')
      assert.match((await client.reply()).text, /^550 5\.6\.0 .*\[line-too-long\]$/)
      queuedId(await client.send('ann@acme.example', 'bob@calm.example', message()))
    }),
  ))

test('BDAT chunks of a terabyte, twelve at once, are refused, and cut when they come all the same', t =>
  attacked(
    t,
    atOnce(async () => {
      await using client = await siege.house.client()
      await transaction(client)
      client.write('BDAT 1099511627776 LAST\r\n')
      await client.writeEndless(noise, 120 * mebibyte)
      assert.match((await client.reply()).text, /^552 5\.3\.4 /)
      await client.ended()
    }),
  ))

test('a hundred thousand BDAT chunks of nothing and of one octet are one message', t =>
  attacked(t, async () => {
    await using client = await siege.house.client()
    await transaction(client)
    const content = Buffer.from(message([], `${'y'.repeat(70)}\r\n`.repeat(400)))
    for (let at = 0; at < 25_000; at += 500) {
      let group = ''
      for (let i = at; i < at + 500; i++) group += `BDAT 0\r\nBDAT 1\r\n${String.fromCharCode(content[i]!)}`
      client.write(group)
      for (let i = 0; i < 1000; i++) await client.expect(250)
    }
    client.write(`BDAT ${content.length - 25_000} LAST\r\n`)
    client.write(content.subarray(25_000))
    queuedId(await client.reply())
  }))

test('4 MiB by BDAT chunks of one octet, where a content is kept in memory to its end, are one message', t =>
  attacked(t, async () => {
    const socket = await rawConnection(siege.house.ports.relay, '127.60.0.1')
    let said = ''
    socket.on('data', chunk => {
      said = (said + String(chunk)).slice(-200)
    })
    const isSaid = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(said) && !socket.destroyed) await new Promise(resolve => setTimeout(resolve, 20))
      assert.match(said, pattern)
    }
    await isSaid(/^220 /)
    socket.write('EHLO x\r\nMAIL FROM:<ann@acme.example>\r\nRCPT TO:<octets@calm.example>\r\n')
    socket.write(`BDAT ${from.length + 2}\r\n${from}\r\n`)
    const line = [...`${'y'.repeat(62)}\r\n`].map(octet => `BDAT 1\r\n${octet}`).join('')
    await pour(socket, line.repeat(100), (4 * mebibyte * line.length) / 64)
    socket.write('BDAT 0 LAST\r\n')
    await isSaid(/250 2\.0\.0 Queued as \S+\r\n$/)
    socket.destroy()
    const hasArrived = () => siege.receiver.messages.some(one => one.to.includes('octets@calm.example'))
    await siege.receiver.waitFor(hasArrived)
  }))

test('sixteen contents of 20 MiB at once whose lines must be encoded: some are put off, none fills the memory', t =>
  attacked(
    t,
    async () => {
      const create = ['credential', 'create', '--account', 'acme', '--long-lines', 'encode']
      const login = await siege.house.server.json<Login & Record<string, never>>(...create)
      const block = Buffer.from(`${'y'.repeat(2000)}\r\n`.repeat(32))
      const send = async (): Promise<string> => {
        await using client = await siege.house.client(login)
        await transaction(client)
        assert.equal((await client.command('DATA')).code, 354)
        client.write(`${from}\r\n`)
        await client.writeEndless(block, 20 * mebibyte)
        client.write('.\r\n')
        return (await client.reply()).text
      }
      const replies = await Promise.all(Array.from({ length: 16 }, send))
      for (const reply of replies) assert.match(reply, /^(?:250 2\.0\.0 |452 4\.3\.1 .*\[encoding-busy\]$)/)
      assert.ok(replies.some(reply => reply.startsWith('452')))
      assert.match(await send(), /^250 /, 'afterwards there is room again')
    },
    300,
  ))

let patients = 0

test('two contents of 16 MiB that an account leaves unfinished put off no small or middling message of another one whose lines may be encoded', t =>
  attacked(
    t,
    async () => {
      const { server } = siege.house
      // The attack may have to come twice to be long enough.
      const patient = `patient${++patients}`
      const encoding = (account: string): Promise<Login & Record<string, never>> =>
        server.json('credential', 'create', '--account', account, '--long-lines', 'encode')
      await makeAccount(server, patient, `${patient}.example`)
      const [slow, quick] = [await encoding('acme'), await encoding(patient)]
      const body = Buffer.alloc(16 * mebibyte, `${'y'.repeat(62)}\r\n`)
      const open = async (): Promise<SmtpClient> => {
        const client = await siege.house.client(slow)
        await transaction(client)
        client.write(`BDAT ${from.length + 2}\r\n${from}\r\nBDAT ${body.length}\r\n`)
        await client.writeAll(body)
        for (let chunk = 0; chunk < 2; chunk++) await client.expect(250)
        return client
      }
      await using first = await open()
      await using second = await open()
      assert.equal(first.isClosed || second.isClosed, false)
      await using client = await siege.house.client(quick)
      for (const lines of [30, 300]) {
        const content = `From: p@${patient}.example\r\n\r\n${`${'z'.repeat(62)}\r\n`.repeat(lines)}`
        queuedId(await client.send(`p@${patient}.example`, 'bob@calm.example', content))
      }
    },
    300,
  ))

// ---- headers ------------------------------------------------------------------------------------------------------

const headers: readonly (readonly [name: string, parts: () => Iterable<string>, reply: RegExp])[] = [
  [
    'one field of 1 MiB',
    () => repeated(`${from}Subject: `, 'x\r\n ', mebibyte / 4),
    /^552 5\.3\.4 .*\[header-too-large\]$/,
  ],
  ['100,000 fields', () => repeated(from, 'X: y\r\n', 100_000), /^552 5\.3\.4 .*\[header-too-large\]$/],
  [
    'a million fields without a name',
    () => repeated(from, ':\r\n', 1_000_000),
    /^552 5\.3\.4 .*\[header-too/,
  ],
  ['1,001 fields', () => repeated(from, 'X: y\r\n', 1001), /^552 5\.3\.4 .*\[header-too-many-fields\]$/],
  ['10,000 Received fields', () => repeated(from, 'Received: by x\r\n', 10_000), /^55[24] 5\.[34]\.[46] /],
  [
    'a From of 100,000 open comments',
    () => repeated('From: ', '(', 100_000),
    /^550 5\.6\.0 .*\[from-invalid\]$/,
  ],
  ['a From of nested groups', () => repeated('From: ', 'a:', 50_000), /^550 5\.6\.0 .*\[from-invalid\]$/],
  [
    'a From of 6,000 addresses',
    () => repeated('From: ', 'a@acme.example,\r\n ', 6000),
    /^550 5\.6\.0 .*\[from-invalid\]$/,
  ],
]
for (const [name, parts, reply] of headers)
  test(`a header with ${name} is refused`, t =>
    attacked(t, async () => {
      assert.match((await submit(parts())).text, reply)
    }))

test('a To field with 5,000 addresses is relayed as it is', t =>
  attacked(t, async () => {
    const to = Array.from({ length: 5000 }, (_, i) => `u${i}@a.example`).join(',\r\n ')
    const id = queuedId(await submit([`${from}To: ${to}\r\nSubject: many\r\n\r\nx\r\n`]))
    await waitForAll(siege.house.server, [id], 'delivered')
    const arrived = siege.receiver.messages.find(one => one.content.includes(id))!
    assert.ok(arrived.content.includes(`To: ${to}\r\n`))
  }))

// ---- recipients and commands --------------------------------------------------------------------------------------

test('of 20,000 recipients the first 1,000 are taken and all of these are sent to', t =>
  attacked(t, async () => {
    await using client = await siege.house.client()
    assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
    const codes: number[] = []
    for (let at = 0; at < 20_000; at += 1000) {
      client.write(
        Array.from({ length: 1000 }, (_, i) => `RCPT TO:<many${at + i}@calm.example>\r\n`).join(''),
      )
      for (let i = 0; i < 1000; i++) codes.push((await client.reply()).code)
    }
    assert.ok(codes.slice(0, 1000).every(code => code === 250))
    assert.ok(codes.slice(1000).every(code => code === 452))
    assert.equal((await client.command('DATA')).code, 354)
    client.write(`${message()}\r\n.\r\n`)
    queuedId(await client.reply())
    const taken = (): Set<string> =>
      new Set(siege.receiver.messages.flatMap(one => one.to).filter(to => to.startsWith('many')))
    await siege.receiver.waitFor(() => taken().size === 1000, 60_000)
  }))

for (const [name, line] of [
  ['NOOP', 'NOOP'],
  ['RSET', 'RSET'],
  ['EHLO', 'EHLO x'],
  ['unknown commands', 'FOO'],
  ['empty lines', ''],
] as const)
  test(`${name} without end close the connection`, t =>
    attacked(t, async () => {
      const socket = await rawConnection(siege.house.ports.submission)
      let said = ''
      socket.on('data', chunk => {
        said += String(chunk)
      })
      await new Promise(resolve => socket.once('data', resolve))
      await pour(socket, `${line}\r\n`.repeat(1000), 20 * mebibyte)
      await closed(socket)
      assert.ok(said.length < mebibyte, 'the answers are bounded too')
      assert.match(said.trimEnd().split('\r\n').at(-1)!, /^(?:421 4\.7\.0|554 5\.5\.0) /)
    }))

// ---- MIME ---------------------------------------------------------------------------------------------------------

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** What we put before a content that has only a From field: fields of ours, each with its folded lines. */
const ownFields = /^(?:(?:Received|Message-ID|Date): [^\r\n]*\r\n(?:[\t ][^\r\n]*\r\n)*)+$/

const hexDigits = '0123456789ABCDEF'
const hexValue = (octet: number): number => hexDigits.indexOf(String.fromCharCode(octet))

/** Quoted-printable without soft line breaks and escapes. */
function decoded(encoded: Buffer): Buffer {
  const octets = Buffer.allocUnsafe(encoded.length)
  let length = 0
  for (let at = 0; at < encoded.length; at++) {
    if (encoded[at] !== 0x3d) octets[length++] = encoded[at]!
    else {
      const isSoft = encoded[at + 1] === 0x0d && encoded[at + 2] === 0x0a
      if (!isSoft) octets[length++] = hexValue(encoded[at + 1]!) * 16 + hexValue(encoded[at + 2]!)
      at += 2
    }
  }
  return octets.subarray(0, length)
}

/** Behind the delimiter line of the only part of a multipart with the boundary `b`. */
function onlyPart(content: Buffer): { readonly header: string; readonly body: Buffer } {
  const start = content.indexOf('\r\n--b\r\n') + 7
  // The header may be empty: then its blank line is the first.
  const end = content.indexOf('\r\n\r\n', start - 2)
  return { header: content.toString('latin1', start, end + 2), body: content.subarray(end + 4) }
}

for (const [name, parts, fits] of structures) {
  const given = (): Buffer => Buffer.from([...parts()].join(''))

  test(`${name}: relayed as it is, since nobody needs to look inside`, t =>
    attacked(
      t,
      async () => {
        const id = queuedId(await submit(parts()))
        await waitForAll(siege.house.server, [id], 'delivered', 60_000)
        const { content } = siege.receiver.messages.find(one => one.content.subarray(0, 1000).includes(id))!
        const sent = given()
        assert.match(content.subarray(0, -sent.length).toString('latin1'), ownFields)
        assert.equal(digest(content.subarray(-sent.length)), digest(sent))
      },
      250,
    ))

  test(`${name}, 8-bit, for a server without 8BITMIME: ${fits ? 'encoded and delivered' : 'bounced with the reason, and nothing is sent'}`, t =>
    attacked(
      t,
      async () => {
        const before = seven.messages.length
        const id = queuedId(await submit(parts(), 'bob@seven.example'))
        const events = await waitForAll(siege.house.server, [id], fits ? 'delivered' : 'bounced', 60_000)
        if (fits) {
          const { content } = seven.messages[before]!
          assert.ok(isAscii(content))
          const part = onlyPart(content)
          assert.match(part.header, /^Content-Transfer-Encoding: quoted-printable\r$/m)
          assert.equal(digest(decoded(part.body)), digest(onlyPart(given()).body))
          return
        }
        const { outcome } = events.find(one => one.messageId === id && one.type === 'bounced')!
        assert.equal(outcome!.enhancedCode, '5.6.3')
        assert.match(outcome!.text, /MIME structure/)
        assert.equal(seven.messages.length, before)
      },
      250,
    ))
}

test('fifty contents of ten thousand parts at once, for a server without 8BITMIME: each is encoded, and memory is bounded', t =>
  attacked(
    t,
    async () => {
      const before = slowSeven.messages.length
      const parts = [
        `${from}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n`,
        '--b\r\n\r\n\u00fc\r\n'.repeat(9999),
        '--b--\r\n',
      ]
      await Promise.all(Array.from({ length: 50 }, () => submit(parts, 'bob@slow.example')))
      await slowSeven.waitFor(before + 50)
      for (const { content } of slowSeven.messages.slice(before)) assert.ok(isAscii(content))
    },
    manyPartsMax,
  ))
