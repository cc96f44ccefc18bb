// Smuggling towards servers that can be fooled: Debian's Postfix 3.7 with its defaults takes LF.CRLF for the end of a
// message, and so does its chasquid 1.11. Every payload goes through us by DATA and by BDAT, with bare LF refused and with
// bare LF mended, and on to three of these Postfixes, one that we deliver to by BDAT, one (without CHUNKING) by DATA, one
// (without 8BITMIME too) whose contents we encode anew, and to chasquid, by DATA. What we accept must be one message at
// each of them, and what we refuse must be none.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ClientReply, queuedId, SmtpClient } from '../scenario/support/client.ts'
import { House, type Login, message, waitForEvents } from '../scenario/support/house.ts'
import {
  freePort,
  type Receiver,
  startChasquidReceiver,
  startPostfixReceiver,
} from '../support/peers/index.ts'
import { decodedBody } from './support/decoded.ts'
import { needs } from './support/needs.ts'

/** What stands between two messages, and whether it is only LF where CR LF belongs: that can be mended. */
const falseEnds: readonly (readonly [name: string, octets: string, canBeMended: boolean])[] = [
  ['LF . LF', '\n.\n', true],
  ['LF . CR LF', '\n.\r\n', true],
  ['CR LF . LF', '\r\n.\n', true],
  ['LF LF . LF', '\n\n.\n', true],
  ['LF . LF CR LF', '\n.\n\r\n', true],
  ['LF .. CR LF', '\n..\r\n', true],
  ['LF . CR', '\n.\r', false],
  ['CR . CR', '\r.\r', false],
  ['CR . LF', '\r.\n', false],
  ['CR . CR LF', '\r.\r\n', false],
  ['CR LF . CR', '\r\n.\r', false],
  ['CR LF . CR CR LF', '\r\n.\r\r\n', false],
  ['LF . CR CR LF', '\n.\r\r\n', false],
  ['LF CR . CR LF', '\n\r.\r\n', false],
  ['CR LF NUL . CR LF', '\r\n\0.\r\n', false],
  ['CR LF . NUL CR LF', '\r\n.\0\r\n', false],
  ['LF NUL . LF', '\n\0.\n', false],
  // By DATA the true end of data, with a bare CR before it: what follows would be commands to us.
  ['CR CR LF . CR LF', '\r\r\n.\r\n', false],
  ['CR CR LF . CR CR LF', '\r\r\n.\r\r\n', false],
]

/** A content that ends there is over by DATA: only BDAT can carry on behind it. */
const endsData = (octets: string): boolean => octets.includes('\r\n.\r\n')

/** Contents that are in order, however much they look like an end to somebody lax; a BDAT may even hold a true one. */
const lookAlikes: readonly (readonly [name: string, octets: string, ways: readonly Way[]])[] = [
  ['a true CR LF . CR LF', '\r\n.\r\n', ['BDAT']],
  ['CR LF . CR LF twice', '\r\n.\r\n.\r\n', ['BDAT']],
  ['a stuffed dot', '\r\n..\r\n', ['DATA', 'BDAT']],
  ['a dot and a space', '\r\n. \r\n', ['DATA', 'BDAT']],
  ['a dot and a tab', '\r\n.\t\r\n', ['DATA', 'BDAT']],
  ['a space and a dot', '\r\n .\r\n', ['DATA', 'BDAT']],
  ['vertical tabs', '\x0b.\x0b', ['DATA', 'BDAT']],
  ['form feeds', '\x0c.\x0c', ['DATA', 'BDAT']],
  ['NEL', '\u0085.\u0085', ['DATA', 'BDAT']],
  ['LINE SEPARATOR', '\u2028.\u2028', ['DATA', 'BDAT']],
  ['quoted-printable line ends', '=0D=0A.=0D=0A', ['DATA', 'BDAT']],
]

const smuggled = [
  'MAIL FROM:<ann@acme.example>',
  'RCPT TO:<smuggled@there.example>',
  'DATA',
  'From: ann@acme.example',
  'Subject: smuggled',
  '',
  'smuggled',
].join('\r\n')

const ways = ['DATA', 'BDAT'] as const
type Way = (typeof ways)[number]

/** The recipients of a message: one at each server. */
const domains = ['bdat.example', 'data.example', 'seven.example', 'chasquid.example'] as const
const allOf = (name: string): string[] => domains.map(domain => `${name}@${domain}`)

/** One message with this content; the reply to its end. BDAT chunks end at `cuts`. */
async function push(
  client: SmtpClient,
  way: Way,
  to: readonly string[],
  content: Buffer,
  cuts: readonly number[] = [],
): Promise<ClientReply> {
  if (way === 'DATA') return await client.send('ann@acme.example', to, content)
  await client.command('MAIL FROM:<ann@acme.example> BODY=8BITMIME')
  for (const one of to) await client.command(`RCPT TO:<${one}>`)
  const whole = Buffer.concat([content, Buffer.from('\r\n')])
  let at = 0
  for (const cut of cuts) {
    client.write(Buffer.concat([Buffer.from(`BDAT ${cut - at}\r\n`), whole.subarray(at, cut)]))
    const reply = await client.reply()
    if (reply.code !== 250) return reply
    at = cut
  }
  client.write(Buffer.concat([Buffer.from(`BDAT ${whole.length - at} LAST\r\n`), whole.subarray(at)]))
  return await client.reply()
}

const payload = (end: string): Buffer => Buffer.from(`${message()}${end}${smuggled}`)

/** How many messages a server took from its clients. */
async function messagesTaken(receiver: Receiver): Promise<number> {
  const taken = receiver.name === 'chasquid' ? / queued ip=/ : /\/cleanup\[\d+\]: \w+: message-id=/
  return (await receiver.log()).split('\n').filter(line => taken.test(line)).length
}

/** The run: who has been sent what. */
interface Run {
  readonly house: House
  readonly mending: Login
  /** Mends bare LF, and has contents with long lines encoded anew at the door. */
  readonly encoding: Login
  /** Names of the messages that we accepted, with the body that must arrive, decoded, where it is known. */
  readonly accepted: Map<string, Buffer | null>
  count: number
}

async function refusedOrMended(context: TestContext, run: Run): Promise<void> {
  for (const [name, end, canBeMended] of falseEnds)
    for (const way of ways.filter(one => one === 'BDAT' || !endsData(end))) {
      await context.test(`${name} by ${way} is refused, and the session goes on`, async () => {
        await using client = await run.house.client()
        assert.match((await push(client, way, allOf('refused'), payload(end))).text, /^55\d 5\.6\.0 /)
        const honest = `honest${++run.count}`
        queuedId(await client.send('ann@acme.example', allOf(honest), message()))
        run.accepted.set(honest, null)
      })

      const fate = canBeMended ? 'becomes one mended message' : 'is refused'
      await context.test(`${name} by ${way} where bare LF is mended ${fate}`, async () => {
        await using client = await run.house.client(run.mending)
        const to = `mended${++run.count}`
        const reply = await push(client, way, allOf(to), payload(end))
        if (!canBeMended) {
          assert.match(reply.text, /^55\d 5\.6\.0 /)
          return
        }
        queuedId(reply)
        run.accepted.set(to, null)
      })
    }
}

async function takenAsTheyAre(context: TestContext, run: Run): Promise<void> {
  for (const [name, octets, possible] of lookAlikes)
    for (const way of possible)
      await context.test(`${name} in a content by ${way} is one message`, async () => {
        await using client = await run.house.client()
        const to = `alike${++run.count}`
        queuedId(await push(client, way, allOf(to), payload(octets)))
        // DATA takes one dot off a line that begins with one, and so what arrives is shorter by it.
        const arrives = way === 'DATA' ? octets.replace(/^\r\n\./, '\r\n') : octets
        run.accepted.set(to, Buffer.from(`Hello.${arrives}${smuggled}\r\n`))
      })

  await context.test(
    'a true end in BDAT, cut into chunks at each of its octets, is one message',
    async () => {
      await using client = await run.house.client()
      const content = payload('\r\n.\r\n')
      const at = content.indexOf('\r\n.\r\n')
      for (let cut = at; cut <= at + 5; cut++) {
        const to = `cut${++run.count}`
        queuedId(await push(client, 'BDAT', allOf(to), content, [cut]))
        run.accepted.set(to, Buffer.from(`Hello.\r\n.\r\n${smuggled}\r\n`))
      }
    },
  )

  await context.test(
    'lone dots on every line of 600 KiB, so that every border of a block meets one',
    async () => {
      await using client = await run.house.client()
      const body = `${'.\r\n'.repeat(200_000)}${smuggled}`
      const to = `dots${++run.count}`
      queuedId(await push(client, 'BDAT', allOf(to), Buffer.from(message([], body))))
      run.accepted.set(to, Buffer.from(`${body}\r\n`))
      const stuffed = `dots${++run.count}`
      const text = message([], body).replaceAll('\r\n.', '\r\n..')
      queuedId(await push(client, 'DATA', allOf(stuffed), Buffer.from(text)))
      run.accepted.set(stuffed, Buffer.from(`${body}\r\n`))
    },
  )
}

/** Text that must be encoded for a server without 8BITMIME, and text that must be at the door: octets, and a line, too many. */
const eightBit = 'Grüße.'
const longLine = `Grüße, ${'and so on, '.repeat(100)}.`

/** Lines of every length up to two encoded ones, a dot at the end of each: wherever a line is broken, one is near. */
const dotted = (before: string): string =>
  Array.from({ length: 160 }, (_, length) => `${before}${'x'.repeat(length)}.\r\n..\r\n.`).join('\r\n')

const quotedPrintable = [
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
]
const quoted = (octets: string): string =>
  octets.replaceAll('\r', '=0D').replaceAll('\n', '=0A').replaceAll('\0', '=00')

/** Contents that are encoded anew: what stands behind the text that makes it necessary. */
const encodedAnew: readonly (readonly [name: string, header: readonly string[], rest: string])[] = [
  ...lookAlikes.map(([name, octets]) => [name, [], `${octets}${smuggled}`] as const),
  ['a dot at the end of lines of every length', [], `\r\n${dotted('')}\r\n${smuggled}`],
  // Their encoding is undone before they are encoded anew: what were letters are line ends in between.
  ...falseEnds.map(
    ([name, end]) => [`${name}, in quoted-printable`, quotedPrintable, `${quoted(end)}${smuggled}`] as const,
  ),
]

async function takenAndEncoded(context: TestContext, run: Run): Promise<void> {
  for (const [login, first, why] of [
    [run.house.login, eightBit, 'with 8-bit octets'],
    [run.encoding, longLine, 'with a long line'],
  ] as const)
    for (const [name, header, rest] of encodedAnew)
      await context.test(`${name} in a content ${why}, by DATA and by BDAT, is one message`, async () => {
        await using client = await run.house.client(login)
        const content = message(header, `${first}${rest}`)
        for (const way of ways) {
          const to = `encoded${++run.count}`
          const written = way === 'DATA' ? content.replaceAll('\r\n.', '\r\n..') : content
          queuedId(await push(client, way, allOf(to), Buffer.from(written)))
          run.accepted.set(to, decodedBody(Buffer.from(`${content}\r\n`)))
        }
      })

  await context.test('lines over 998 octets, of dots and with a dot at each place of a break', async () => {
    await using client = await run.house.client(run.encoding)
    for (const body of [
      '.'.repeat(3000),
      dotted('y'.repeat(998)),
      `${'. '.repeat(2000)}\r\n.\r\n${smuggled}`,
    ]) {
      const to = `encoded${++run.count}`
      queuedId(await push(client, 'BDAT', allOf(to), Buffer.from(message([], body))))
      run.accepted.set(to, Buffer.from(`${body}\r\n`))
    }
  })

  for (const [name, end, canBeMended] of falseEnds)
    for (const way of ways.filter(one => one === 'BDAT' || !endsData(end)))
      await context.test(
        `${name} by ${way} behind a long line, mended and encoded, is one message or none`,
        async () => {
          await using client = await run.house.client(run.encoding)
          const to = `mended${++run.count}`
          const content = Buffer.from(`${message([], `${longLine}\r\nHello.`)}${end}${smuggled}`)
          const reply = await push(client, way, allOf(to), content)
          if (!canBeMended) {
            assert.match(reply.text, /^55\d 5\.6\.0 /)
            return
          }
          queuedId(reply)
          run.accepted.set(to, null)
        },
      )
}

const needed = await needs('postfix', 'chasquid')

test(
  'nothing can be smuggled through us to a Postfix or a chasquid that would be fooled',
  needed,
  async context => {
    const listenAddress = '127.0.0.1'
    await using chunking = await startPostfixReceiver({ listenAddress, port: await freePort() })
    await using plain = await startPostfixReceiver({
      listenAddress,
      port: await freePort(),
      extraMainCf: 'smtpd_discard_ehlo_keywords = chunking\n',
    })
    await using seven = await startPostfixReceiver({
      listenAddress,
      port: await freePort(),
      extraMainCf: 'smtpd_discard_ehlo_keywords = chunking, 8bitmime\n',
    })
    await using chasquid = await startChasquidReceiver({
      listenAddress,
      port: await freePort(),
      domain: 'chasquid.example',
    })
    const route = (domain: string, { port }: Receiver): string =>
      `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "127.0.0.1:${port}"\n`
    const routes = [
      route('bdat.example', chunking),
      route('data.example', plain),
      route('seven.example', seven),
      route('chasquid.example', chasquid),
    ]
    await using house = await House.open(
      `${routes.join('')}[limits]\nconnections_per_address = 500\nconnection_rate_per_address = 5000\n`,
    )
    const create = ['credential', 'create', '--account', 'acme', '--bare-lf', 'mend']
    const mending = await house.server.json<Login & Record<string, never>>(...create)
    const encode = [...create, '--long-lines', 'encode']
    const encoding = await house.server.json<Login & Record<string, never>>(...encode)
    const run: Run = { house, mending, encoding, accepted: new Map(), count: 0 }

    await refusedOrMended(context, run)
    await takenAsTheyAre(context, run)
    await takenAndEncoded(context, run)

    const events = await waitForEvents(
      house.server,
      events =>
        events.filter(event => event.type === 'delivered').length >= run.accepted.size * domains.length,
      // chasquid 1.11 loses commands that come together with the end of a content: its connections stand still once.
      120_000,
    )
    for (const [how, receiver, domain] of [
      ['BDAT', chunking, 'bdat.example'],
      ['DATA', plain, 'data.example'],
      ['DATA without 8BITMIME', seven, 'seven.example'],
      ['DATA', chasquid, 'chasquid.example'],
    ] as const)
      await context.test(
        `the ${receiver.name} that got them by ${how} has each accepted message once, and no other`,
        async () => {
          const mails = await receiver.waitFor(run.accepted.size, 60_000)
          // Postfix counts the bytes in its reply to BDAT, and not in the one to DATA.
          const said = how === 'BDAT' ? /^Ok: \d+ bytes queued as / : /^Ok: queued as /
          // chasquid quotes a game, another line each time.
          for (const { type, forwardPath = '', outcome } of events)
            if (type === 'delivered' && forwardPath.endsWith(domain) && receiver !== chasquid)
              assert.match(outcome!.text, said)
          const expected = [...run.accepted.keys()].map(name => `${name}@${domain}`)
          assert.deepEqual(mails.flatMap(mail => mail.rcptTo).sort(), expected.sort())
          assert.equal(await messagesTaken(receiver), run.accepted.size)
          for (const mail of mails) {
            const text = mail.bytes.toString('latin1')
            assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/)
            if (receiver === seven) assert.doesNotMatch(text, /[\x80-\xff]/)
            const [name = ''] = mail.rcptTo[0]!.split('@')
            const body = decodedBody(mail.bytes)
            // After a true CRLF the lone dot is stuffing and goes, as in any other line (RFC 5321 §4.5.2).
            if (name.startsWith('mended'))
              assert.match(body.toString(), /(?:^|\r\n)Hello\.\r\n[\r\n.]*MAIL FROM:<ann@acme\.example>\r\n/)
            const arrives = run.accepted.get(name)
            if (arrives != null)
              assert.ok(body.equals(arrives), `${name}: ${JSON.stringify(text.slice(-500))}`)
          }
        },
      )

    for (const [receiver, domain, taken] of [
      [plain, 'data.example', run.accepted.size],
      [seven, 'seven.example', run.accepted.size],
      [chasquid, 'chasquid.example', run.accepted.size],
    ] as const)
      await context.test(
        `the same ${receiver.name} for ${domain} is fooled when it is spoken to directly`,
        async () => {
          await using client = await SmtpClient.connect(receiver.port)
          await client.hello()
          for (const command of ['MAIL FROM:<ann@acme.example>', `RCPT TO:<victim@${domain}>`, 'DATA'])
            assert.ok((await client.command(command)).code < 400)
          // What stands behind the false end comes later, since chasquid loses what has come with it.
          client.write(`${message()}\n.\r\n`)
          await client.expect(250)
          const second = `smuggled@${domain}`
          const commands = smuggled.replace('smuggled@there.example', second)
          client.write(`${commands}\r\n.\r\n`)
          const mails = await receiver.waitFor(taken + 2)
          assert.ok(mails.some(mail => mail.rcptTo.includes(second)))
        },
      )
  },
)
