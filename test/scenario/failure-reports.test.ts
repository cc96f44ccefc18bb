// Situation: mail that fails while its stream asks for failure reports by mail, or does not.
//
// Reports go to the reverse-path and so to the receiver that stands for the whole world. They are read with a parser that
// is not ours. After each situation a last ordinary message is waited for, so that "no report" is not "not yet".

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import PostalMime from 'postal-mime'
import { queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, type Login, message, typesOf, waitForAll, waitForEvents } from './support/house.ts'
import { type Received, Receiver } from './support/receiver.ts'

let receiver: Receiver
let plain: Receiver
let house: House
/** A login of an account whose stream makes events only. */
let quiet: Login
/** Who comes from here may use any sender, without a login. */
const inside = '127.9.0.1'

const wordy = 'the mailbox is not here '.repeat(83)
const rcpt = (path: string): string => {
  if (path.startsWith('wordy')) return `550 5.1.1 ${wordy}`
  if (path.startsWith('unknown')) return '550 5.1.1 no such user here'
  if (path.startsWith('full')) return '452 4.2.2 mailbox full'
  return '250 2.1.5 ok'
}

before(async () => {
  receiver = await Receiver.start({ rcpt })
  plain = await Receiver.start({ rcpt, keywords: ['PIPELINING', '8BITMIME'] })
  const plainRoute = plain.route.replace('"*"', '"plain.example"')
  // So that a thousand recipients are refused in one transaction, and make one report as far as they fit.
  const delivery = '[delivery]\nrecipients_per_transaction = 1000\n'
  house = await House.open(
    `${plainRoute}${receiver.route}${delivery}[retry]\nschedule = ["1s"]\nexpire = "3s"\n`,
    {
      relay: `networks = ["${inside}"]\naccount = "acme"\nsenders = "any"`,
    },
  )
  await house.server.json('stream', 'update', 'default', '--account', 'acme', '--failure-report', 'event+dsn')
  await house.server.json('account', 'create', 'quiet')
  await house.server.json('domain', 'add', '--account', 'quiet', '--trust', '--no-dkim', 'quiet.example')
  quiet = await house.server.json<Login>(...(['credential', 'create', '--account', 'quiet'] as const))
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  await plain[Symbol.asyncDispose]()
})

interface Case {
  readonly from?: string
  readonly to?: readonly string[]
  readonly mail?: string
  readonly rcpt?: string
  readonly content?: string
}

/** Sends, waits until every recipient is final and until all mail that came of it is final too; gives the reports. */
async function reportsOn({ from, to, mail, rcpt: rcptParameters, content }: Case): Promise<Received[]> {
  const before = receiver.messages.length
  const seq = (await eventsOf(house.server)).at(-1)?.seq ?? 0
  await using client = await house.client()
  const parameters = { mail: mail ?? '', rcpt: rcptParameters ?? '' }
  queuedId(
    await client.send(
      from ?? 'ann@acme.example',
      to ?? ['unknown@there.example'],
      content ?? message(),
      parameters,
    ),
  )
  await waitForEvents(house.server, all => {
    const fresh = all.filter(event => event.seq > seq)
    const ends = fresh.filter(event => ['delivered', 'bounced', 'expired'].includes(event.type))
    const begun = fresh.filter(event => event.type === 'accepted') as unknown as { forwardPaths: string[] }[]
    return ends.length === begun.reduce((sum, event) => sum + event.forwardPaths.length, 0)
  })
  return receiver.messages.slice(before).filter(one => one.from === '')
}

interface ReadReport {
  readonly headers: ReadonlyMap<string, string>
  readonly text: string
  readonly status: string
  readonly original: string
  readonly originalType: string
}

async function read(report: Received): Promise<ReadReport> {
  const email = await PostalMime.parse(report.content, {
    attachmentEncoding: 'utf8',
    forceRfc822Attachments: true,
  })
  const headers = new Map(email.headers.map(({ key, value }) => [key, value]))
  const part = (type: RegExp) => email.attachments.find(one => type.test(one.mimeType))
  const original = part(/^(message\/rfc822|text\/rfc822-headers|message\/global)/)
  return {
    headers,
    text: email.text ?? '',
    status: String(part(/delivery-status$/)?.content ?? ''),
    original: String(original?.content ?? ''),
    originalType: original?.mimeType ?? '',
  }
}

test('without event+dsn a bounce is an event and no mail', async () => {
  const before = receiver.messages.length
  await using client = await house.client(quiet)
  const text = message().replace('ann@acme.example', 'q@quiet.example')
  const id = queuedId(await client.send('q@quiet.example', 'unknown@there.example', text))
  const done = queuedId(await client.send('q@quiet.example', 'bob@there.example', text))
  await waitForAll(house.server, [id], 'bounced')
  await waitForAll(house.server, [done], 'delivered')
  assert.equal(receiver.messages.length, before + 1)
})

test('with event+dsn a bounce makes a report to the reverse-path, from the null sender, in the form of RFC 3464', async () => {
  const reports = await reportsOn({})
  assert.equal(reports.length, 1)
  assert.deepEqual([reports[0]!.from, reports[0]!.to], ['', ['ann@acme.example']])
  const { headers, text, status, original } = await read(reports[0]!)
  assert.match(headers.get('content-type')!, /^multipart\/report;.*report-type="?delivery-status/is)
  assert.match(headers.get('from')!, /mailer-daemon@relay\.example/i)
  assert.match(headers.get('to')!, /ann@acme\.example/)
  assert.equal(headers.get('auto-submitted'), 'auto-replied')
  assert.ok(headers.has('date') && headers.has('message-id') && headers.has('subject'))
  assert.match(text, /unknown@there\.example/)
  assert.match(text, /no such user here/)
  assert.match(status, /^Reporting-MTA: dns; ?relay\.example\r?$/m)
  assert.match(status, /^Final-Recipient: rfc822; ?unknown@there\.example\r?$/m)
  assert.match(status, /^Action: failed\r?$/m)
  assert.match(status, /^Status: 5\.1\.1\r?$/m)
  assert.match(status, /^Diagnostic-Code: smtp; ?550 5\.1\.1 no such user here\r?$/m)
  assert.match(original, /^Subject: a scenario\r?$/m)
})

test('several failed recipients of one message are all reported, delivered ones are not', async () => {
  const reports = await reportsOn({
    to: ['unknown1@there.example', 'bob@there.example', 'unknown2@there.example'],
  })
  const texts = (await Promise.all(reports.map(read))).map(one => one.status).join('\n')
  assert.match(texts, /unknown1@/)
  assert.match(texts, /unknown2@/)
  assert.doesNotMatch(texts, /bob@/)
})

test('RET=FULL brings the content back, RET=HDRS its header only', async () => {
  const content = message([], 'the body of the original')
  const full = await read((await reportsOn({ mail: ' RET=FULL', content }))[0]!)
  assert.match(full.original, /the body of the original/)
  assert.equal(full.originalType, 'message/rfc822')
  const headers = await read((await reportsOn({ mail: ' RET=HDRS', content }))[0]!)
  assert.doesNotMatch(headers.original, /the body of the original/)
  assert.equal(headers.originalType, 'text/rfc822-headers')
})

test('a large message comes back as its header, RET=FULL or not', async () => {
  const body = `${'x'.repeat(70)}\r\n`.repeat(10_000)
  const [report] = await reportsOn({ mail: ' RET=FULL', content: message([], body) })
  assert.ok(report!.content.length < 300_000)
})

test('a thousand recipients refused with 2,000 octets each are all reported, and no report is large', async () => {
  const to = Array.from({ length: 1000 }, (_, i) => `wordy${i}@there.example`)
  const parameter = ` ORCPT=rfc822;${'o'.repeat(380)}@there.example`
  const content = message([], `${'x'.repeat(70)}\r\n`.repeat(3000))
  const reports = await reportsOn({ to, mail: ' RET=FULL', rcpt: parameter, content })
  for (const { content } of reports) assert.ok(content.length <= 1024 * 1024, `${content.length} octets`)
  const status = (await Promise.all(reports.map(read))).map(one => one.status).join('\n')
  const named = [...status.matchAll(/^Final-Recipient: rfc822; ?(\S+)\r?$/gm)].map(([, address]) => address)
  assert.deepEqual(named.sort(), to.sort())
  assert.equal(status.match(/^Diagnostic-Code: smtp; ?550 5\.1\.1 the mailbox is not here/gm)?.length, 1000)
})

test('ENVID and ORCPT come back as they were given', async () => {
  const [report] = await reportsOn({
    mail: ' ENVID=order+2B17',
    rcpt: ' ORCPT=rfc822;first@elsewhere.example',
  })
  const { status } = await read(report!)
  assert.match(status, /^Original-Envelope-Id: order\+17\r?$/m)
  assert.match(status, /^Original-Recipient: rfc822; ?first@elsewhere\.example\r?$/m)
})

for (const [notify, count] of [
  ['NEVER', 0],
  ['SUCCESS', 0],
  ['DELAY', 0],
  ['FAILURE', 1],
  ['FAILURE,DELAY', 1],
] as const) {
  test(`NOTIFY=${notify} makes ${count === 0 ? 'no report' : 'a report'} on a bounce`, async () => {
    assert.equal((await reportsOn({ rcpt: ` NOTIFY=${notify}` })).length, count)
  })
}

test('NOTIFY=SUCCESS is passed to a receiver that knows DSN, and reported as relayed where the next one does not', async () => {
  assert.deepEqual(await reportsOn({ to: ['bob@there.example'], rcpt: ' NOTIFY=SUCCESS' }), [])
  assert.match(receiver.messages.at(-1)!.toParameters[0]!, /NOTIFY=SUCCESS/)
  const reports = await reportsOn({ to: ['bob@plain.example'], rcpt: ' NOTIFY=SUCCESS' })
  assert.equal(plain.messages.at(-1)!.toParameters[0], '')
  assert.equal(reports.length, 1)
  assert.match((await read(reports[0]!)).status, /^Action: relayed\r?$/m)
})

test('a forged sender gets nothing for a thousand recipients that would bounce: nothing is taken from it', async () => {
  const before = receiver.messages.length
  await using forger = await house.client()
  const rcpts = Array.from({ length: 1000 }, (_, i) => `RCPT TO:<unknown${i}@there.example>\r\n`).join('')
  forger.write(`MAIL FROM:<victim@elsewhere.example>\r\n${rcpts}`)
  assert.match((await forger.reply()).text, /^550 5\.7\.1 .*\[sender-not-owned\]$/)
  // He may be sent away before the last.
  for (let i = 0, code: number | undefined = 503; i < 1000 && code !== undefined; i++) {
    code = (await forger.replyOrEnd())?.code
    assert.ok(code === undefined || code === 421 || code >= 500, `${code}`)
  }
  await using client = await house.client()
  // What is sent in its own name afterwards is the only mail that comes.
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(
    receiver.messages.slice(before).map(({ to }) => to),
    [['bob@there.example']],
  )
})

test('a sender of others that a door for any sender takes gets no report either, and an own one does', async () => {
  const before = receiver.messages.length
  await using client = await SmtpClient.connect(house.ports.relay, { localAddress: inside })
  await client.hello()
  for (const [from, count, parameters] of [
    ['victim@elsewhere.example', 1000, ''],
    ['victim@elsewhere.example', 1, ' NOTIFY=FAILURE,DELAY,SUCCESS'],
    // A domain below the account's, and one that only looks like it.
    ['victim@below.acme.example', 1, ''],
    ['"victim@acme.example"@elsewhere.example', 1, ''],
    ['ann@ACME.example', 1, ''],
  ] as const) {
    const rcpts = Array.from(
      { length: count },
      (_, i) => `RCPT TO:<unknown${i}@there.example>${parameters}\r\n`,
    )
    client.write(`MAIL FROM:<${from}>\r\n${rcpts.join('')}DATA\r\n`)
    for (let i = 0; i <= count; i++) await client.expect(250)
    await client.expect(354)
    client.write(`${message()}\r\n.\r\n`)
    const id = queuedId(await client.reply())
    await waitForEvents(
      house.server,
      all => all.filter(one => one.messageId === id && one.type === 'bounced').length === count,
    )
  }
  const isDone = (): boolean => receiver.messages.slice(before).some(({ to }) => to[0] === 'ann@acme.example')
  await receiver.waitFor(isDone)
  const reached = new Set(receiver.messages.slice(before).flatMap(({ to }) => to))
  assert.deepEqual([...reached], ['ann@acme.example'])
})

test('the null sender never gets a report', async () => {
  assert.deepEqual(await reportsOn({ from: '' }), [])
  assert.deepEqual(await reportsOn({ from: '', rcpt: ' NOTIFY=FAILURE' }), [])
})

test('an expired message is reported as failed with status 5.4.7, and delays are not reported', async () => {
  const reports = await reportsOn({ to: ['full@there.example'] })
  assert.equal(reports.length, 1)
  const { status } = await read(reports[0]!)
  assert.match(status, /^Action: failed\r?$/m)
  assert.match(status, /^Status: [45]\.\d+\.\d+\r?$/m)
})

test('a report that bounces makes no further report', async () => {
  const seq = (await eventsOf(house.server)).at(-1)!.seq
  const reports = await reportsOn({ from: 'unknown-ann@acme.example' })
  assert.deepEqual(reports, [])
  const fresh = (await eventsOf(house.server)).filter(event => event.seq > seq)
  const local = fresh.filter(event => event.type === 'accepted' && event.door === 'local')
  assert.equal(local.length, 1, 'one report was made')
  assert.deepEqual(typesOf(fresh, local[0]!.messageId!), ['accepted', 'bounced'])
})
