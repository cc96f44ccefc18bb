// Situation: texts that try to become header fields, recipients or commands, in each field of a header and of a MIME part.
//
// Every payload goes into every place and to two receivers, one of which lacks 8BITMIME, so that headers of parts are
// written anew for it; signed, so that our own fields are made beside them; with bare LF refused and with bare LF
// mended. What leaves has the fields that the author wrote and ours, and goes to whom was named. Each is bounced as
// well, and its report has its own fields only.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ClientReply, queuedId } from './support/client.ts'
import { House, type Login, waitForAll, waitForEvents } from './support/house.ts'
import { type Received, Receiver } from './support/receiver.ts'

let ordinary: Receiver
let seven: Receiver
let house: House
let mending: Login

before(async () => {
  const rcpt = (path: string): string => (path.startsWith('unknown') ? '550 5.1.1 no such user' : '250 ok')
  ordinary = await Receiver.start({ rcpt })
  seven = await Receiver.start({ keywords: ['PIPELINING'] })
  const route = seven.route.replace('"*"', '"seven.example"')
  house = await House.open(`${route}${ordinary.route}[limits]\nconnection_rate_per_address = 100000\n`)
  const { server } = house
  await server.json('domain', 'add', '--account', 'acme', '--trust', 'signed.example')
  await server.json('stream', 'update', 'default', '--account', 'acme', '--failure-report', 'event+dsn')
  const create = ['credential', 'create', '--account', 'acme', '--bare-lf', 'mend']
  mending = await server.json<Login & Record<string, never>>(...create)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await ordinary[Symbol.asyncDispose]()
  await seven[Symbol.asyncDispose]()
})

/**
 * Octets as they are sent: latin1. `field`: a line of its own that the author has written
 * with it, where CR LF ends lines.
 */
const payloads: readonly (readonly [name: string, octets: string, field?: string])[] = [
  ['CR LF and Bcc', '\r\nBcc: x@evil.example', 'bcc'],
  ['CR LF and a field', '\r\nX-Evil: y', 'x-evil'],
  ['LF and a field', '\nX-Evil: y', 'x-evil'],
  ['CR and a field', '\rX-Evil: y'],
  ['a NUL', '\0'],
  ['a vertical tab', '\x0b'],
  ['NEL as an octet', '\x85'],
  ['NEL in UTF-8', '\xc2\x85'],
  ['LINE SEPARATOR', '\xe2\x80\xa8'],
  ['an encoded word of CR LF and Bcc', '=?utf-8?q?=0D=0ABcc:_x=40evil.example?='],
  ['an overlong line end', '=?utf-8?q?=C0=8A?=\xc0\x8aX-Evil: y'],
  ['percent signs', '%0d%0aBcc:%20x@evil.example'],
  ['JSON escapes', '\\u000d\\u000aBcc: x@evil.example'],
  ['half a pair of surrogates', '\xed\xa0\x80'],
  ['a mebibyte', 'x'.repeat(1024 * 1024)],
]

/** The fields of a message, and of its one attachment; `!` is where a payload goes. */
const places: readonly (readonly [name: string, of: 'header' | 'part', field: string])[] = [
  ['the name in From', 'header', 'From: Ann! <ann@signed.example>'],
  ['a quoted name in From', 'header', 'From: "Ann!" <ann@signed.example>'],
  ['the name in To', 'header', 'To: Bob! <bob@there.example>'],
  ['the name in Cc', 'header', 'Cc: "Carol!" <carol@there.example>'],
  ['the name in Bcc', 'header', 'Bcc: Dave! <dave@there.example>'],
  ['Reply-To', 'header', 'Reply-To: Ann! <ann@signed.example>'],
  ['Subject', 'header', 'Subject: a!b'],
  ['Message-ID', 'header', 'Message-ID: <a!b@signed.example>'],
  ['Date', 'header', 'Date: Mon, 23 Nov 2026 10:00:00 +0000!'],
  ['References', 'header', 'References: <a!b@signed.example>'],
  ['List-Id', 'header', 'List-Id: Friends! <friends.signed.example>'],
  ['List-Unsubscribe', 'header', 'List-Unsubscribe: <https://signed.example/u?a=!>'],
  ['the value of another field', 'header', 'X-Tag: a!b'],
  ['the name of another field', 'header', 'X-Tag!: a'],
  ['the boundary', 'header', 'Content-Type: multipart/mixed; x="!"; boundary=b'],
  ['the file name of an attachment', 'part', 'Content-Disposition: attachment; filename="a!.txt"'],
  ['the type of an attachment', 'part', 'Content-Type: text/plain; name="a!.txt"'],
  ['the id of an attachment', 'part', 'Content-ID: <a!@signed.example>'],
  ['the description of an attachment', 'part', 'Content-Description: a!b'],
]

const usual: readonly string[] = [
  'From: Ann <ann@signed.example>',
  'To: bob@there.example',
  'Subject: a scenario',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b',
]
const usualPart: readonly string[] = ['Content-Type: text/plain; charset=utf-8']
const nameOf = (field: string): string => field.slice(0, field.indexOf(':')).toLowerCase()

/** The usual fields, with this one in the place of its name or behind them. */
function having(fields: readonly string[], field: string): string[] {
  const others = fields.filter(one => nameOf(one) !== nameOf(field))
  return [...others, field]
}

function content(of: 'header' | 'part', field: string): Buffer {
  const header = of === 'header' ? having(usual, field) : usual
  const part = of === 'part' ? having(usualPart, field) : usualPart
  const lines = [...header, '', '--b', ...part, '', 'gr\xc3\xbc\xc3\x9fe', '--b--']
  return Buffer.from(lines.join('\r\n'), 'latin1')
}

/** Lines with their continuations, by the names before their colons. */
function fieldNames(block: string): string[] {
  return block
    .replace(/\r\n[ \t]/g, ' ')
    .split('\r\n')
    .filter(line => line !== '')
    .map(line => line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase())
}

const ours: ReadonlySet<string> = new Set(['dkim-signature', 'received', 'message-id', 'date'])
const ofOurEncoding = 'content-transfer-encoding'

/** The header of a message and of its attachment. */
function headersOf({ content: bytes }: Received): readonly [header: string, part: string] {
  const text = bytes.toString('latin1')
  assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/)
  const end = text.indexOf('\r\n\r\n')
  const start = text.indexOf('\r\n--b\r\n', end) + 7
  return [text.slice(0, end), text.slice(start, text.indexOf('\r\n\r\n', start))]
}

/** What arrived has the fields that were written, in the header and in the part, and ours. */
function assertFields(
  received: Received,
  of: 'header' | 'part',
  field: string,
  extra: string | undefined,
): void {
  const [header, part] = headersOf(received).map(fieldNames) as [string[], string[]]
  assert.ok(header.includes('dkim-signature'))
  const added = extra === undefined ? [] : [extra]
  const inHeader = [
    ...(of === 'header' ? having(usual, field) : usual).map(nameOf),
    ...(of === 'header' ? added : []),
  ]
  const inPart = [
    ...(of === 'part' ? having(usualPart, field) : usualPart).map(nameOf),
    ...(of === 'part' ? added : []),
  ]
  const written = new Set(inHeader.filter(name => name !== 'bcc'))
  const isOurs = (name: string): boolean => ours.has(name) && !written.has(name)
  assert.deepEqual(
    header.filter(name => !isOurs(name) && name !== ofOurEncoding).sort(),
    [...inHeader.filter(name => name !== 'bcc')].sort(),
  )
  assert.deepEqual(part.filter(name => name !== ofOurEncoding).sort(), inPart.sort())
}

/** A name of a field that holds no more than names may. */
const token = /^[!-9;-~]+$/

for (const [place, of, template] of places)
  test(`${place}: what is put there is refused, or stays where it is`, { timeout: 120_000 }, async () => {
    const sent = new Map<string, readonly [field: string, extra: string | undefined]>()
    const before = [ordinary.messages.length, seven.messages.length] as const
    for (const [at, [name, octets, extra]] of payloads.entries())
      for (const login of [house.login, mending]) {
        await using client = await house.client(login)
        const field = template.replace('!', () => octets)
        const to = [`u${at}@ok.example`, `u${at}@seven.example`, `unknown${at}@ok.example`]
        const reply: ClientReply = await client.send('ann@acme.example', to, content(of, field))
        const isLone = /\r(?!\n)|\0/.test(octets) || (/(?<!\r)\n/.test(octets) && login !== mending)
        if (reply.code !== 250) {
          assert.match(reply.text, /^55[02] 5\.(?:6\.0|3\.4|7\.1) /, name)
          if (isLone) assert.match(reply.text, /^550 5\.6\.0 /, name)
        } else {
          assert.equal(isLone, false, `${name} was taken`)
          const id = queuedId(reply)
          // What ends a line begins a field there, which is the author's own; a name of letters only may be taken.
          const parts = field.replace(/(?<!\r)\n/g, '\r\n').split('\r\n')
          assert.ok(
            parts.every(one => token.test(nameOf(one))),
            `${name} was taken as a name`,
          )
          sent.set(id, [parts[0]!, extra])
        }
        assert.equal((await client.command('NOOP')).code, 250, 'in step')
      }
    assert.ok(sent.size >= 3, `${sent.size} were taken`)
    for (const type of ['delivered', 'bounced']) await waitForAll(house.server, [...sent.keys()], type)
    // A report for each, which is delivered as well.
    await waitForEvents(house.server, events => {
      const made = events
        .filter(one => one.type === 'accepted' && one.door === 'local')
        .map(one => one.messageId)
      const done = new Set(events.filter(one => one.type === 'delivered').map(one => one.messageId))
      return made.length > 0 && made.every(id => done.has(id))
    })
    for (const [receiver, from] of [
      [ordinary, before[0]],
      [seven, before[1]],
    ] as const)
      for (const received of receiver.messages.slice(from)) {
        for (const to of received.to) assert.match(to, /^(?:u\d+@(?:ok|seven)\.example|ann@acme\.example)$/)
        if (received.from === '') {
          assertReport(received)
          continue
        }
        const [, id = ''] = /\bid (msg_\w+)/.exec(received.content.toString('latin1'))!
        const [field, extra] = sent.get(id)!
        assertFields(received, of, field, extra)
      }
  })

/** Its fields are ours, whatever stood in what it is about. */
function assertReport({ content: bytes }: Received): void {
  const text = bytes.toString('latin1')
  assert.deepEqual(fieldNames(text.slice(0, text.indexOf('\r\n\r\n'))), [
    'from',
    'to',
    'subject',
    'date',
    'message-id',
    'auto-submitted',
    'mime-version',
    'content-type',
  ])
}

test('after all of that nobody was called who was not named, and each command is one line', () => {
  for (const command of [...ordinary.commands, ...seven.commands])
    assert.match(
      command,
      /^(?:EHLO relay\.example|MAIL FROM:<(?:ann@acme\.example)?>(?: [A-Z0-9]+(?:=[^ ]+)?)*|RCPT TO:<(?:u\d+|unknown\d+|ann)@(?:ok|seven|acme)\.example>(?: [A-Z]+=[^ ]+)*|DATA|RSET|NOOP|QUIT)$/,
    )
})
