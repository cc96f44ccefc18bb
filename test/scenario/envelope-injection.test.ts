// Situation: addresses, names and parameters that try to become commands, recipients, routes, fields or lines.
//
// Two receivers stand behind us: `ok.example` has a route of its own, everything else goes to the other one. What counts
// is who was called and with which commands, and at the end of all: what stands in the commands, the header fields, the
// events, the log and on the terminal.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { base64, type ClientReply, plainToken, queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let wanted: Receiver
let evil: Receiver
let house: House

/** What a server says of `unknown…`, with what ends lines and what terminals obey. */
const foulReply = '550 5.1.1 no\rX-Evil: y \x1b[2J\x0b\0 \x85\u2028 such user'
const rcpt = (path: string): string => (path.startsWith('unknown') ? foulReply : '250 2.1.5 ok')

before(async () => {
  wanted = await Receiver.start({ rcpt })
  evil = await Receiver.start()
  const own = wanted.route.replace('"*"', '"ok.example"')
  // Many connections from one address: its rate is not what is tested.
  house = await House.open(`${own}${evil.route}[limits]\nconnection_rate_per_address = 100000\n`)
  await house.server.json('stream', 'update', 'default', '--account', 'acme', '--failure-report', 'event+dsn')
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await wanted[Symbol.asyncDispose]()
  await evil[Symbol.asyncDispose]()
})

const badPaths = [
  ['a second path behind a parameter', '<u@ok.example> SIZE=1 <v@evil.example>'],
  ['a parameter and a second path inside', '<u@ok.example> SIZE=1 <c@d.example'],
  ['two paths with a comma', '<u@ok.example>,<v@evil.example>'],
  ['two paths without a comma', '<u@ok.example><v@evil.example>'],
  ['a bracket in the local part', '<u>v@evil.example>'],
  ['a space in the domain', '<u@ok.example v@evil.example>'],
  ['a NUL', '<u\0@ok.example>'],
  ['a NUL in quotes', '<"u\0v"@ok.example>'],
  ['a bare CR and a command', '<u@ok.example>\rRCPT TO:<v@evil.example>'],
  ['a bare CR in quotes', '<"u\rRCPT TO:<v@evil.example>"@ok.example>'],
  ['a C1 control character', '<u\x85@ok.example>'],
  ['a vertical tab', '<u\x0bv@ok.example>'],
] as const

for (const [name, path] of badPaths) {
  test(`MAIL and RCPT with ${name} are refused`, async () => {
    await using client = await house.client()
    client.write(Buffer.from(`MAIL FROM:${path.replaceAll('ok.example', 'acme.example')}\r\n`, 'latin1'))
    assert.match((await client.reply()).text, /^5(?:00|01|50|53|55) 5\./)
    assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
    client.write(Buffer.from(`RCPT TO:${path}\r\n`, 'latin1'))
    assert.match((await client.reply()).text, /^5(?:00|01|50|53|55) 5\./)
    assert.equal((await client.command('DATA')).code, 503, 'no recipient was taken')
  })
}

test('a quoted local part that looks like an address goes to the domain behind it, and nowhere else', async () => {
  await using client = await house.client()
  const path = '"x@evil.example y"@ok.example'
  const id = queuedId(await client.send('ann@acme.example', path, message()))
  await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(wanted.messages.at(-1)!.to, [path])
  assert.equal(evil.sessions, 0)
})

test('ORCPT of another domain is passed on and routes nothing', async () => {
  await using client = await house.client()
  const rcpt = ' ORCPT=rfc822;v@evil.example NOTIFY=FAILURE'
  const id = queuedId(await client.send('ann@acme.example', 'u@ok.example', message(), { rcpt }))
  await waitForAll(house.server, [id], 'delivered')
  const last = wanted.messages.at(-1)!
  assert.deepEqual(last.to, ['u@ok.example'])
  assert.match(last.toParameters[0]!, /ORCPT=rfc822;v@evil\.example/)
  assert.equal(evil.sessions, 0)
})

test('encoded line ends in ENVID, ORCPT and AUTH never become lines', async () => {
  await using client = await house.client()
  for (const [mail, rcpt] of [
    [' ENVID=a+0D+0ARCPT+20TO:<v@evil.example>', ''],
    ['', ' ORCPT=rfc822;a+0D+0ARCPT+20TO:<v@evil.example>'],
    [' AUTH=a@b.example+0D+0ARSET', ''],
    [' ENVID=a+00b', ''],
  ] as const) {
    const reply = await client.send('ann@acme.example', 'u@ok.example', message(), { mail, rcpt })
    if (reply.code === 250) await waitForAll(house.server, [queuedId(reply)], 'delivered')
    else assert.match(reply.text, /^5\d\d 5\./)
    await client.command('RSET')
  }
  assert.deepEqual(
    wanted.commands.filter(line => line.startsWith('RCPT') && !line.startsWith('RCPT TO:<u@ok.example>')),
    ['RCPT TO:<"x@evil.example y"@ok.example>'],
  )
  assert.equal(evil.sessions, 0)
})

test('each accepted RCPT is one recipient, repeated ones too, and no other appears', async () => {
  await using client = await house.client()
  const to = ['a@ok.example', 'b@ok.example', 'a+tag@ok.example', "o'neil@ok.example", '"b c"@ok.example']
  const id = queuedId(await client.send('ann@acme.example', to, message(['Cc: <v@evil.example>'])))
  const events = await waitForAll(house.server, [id], 'delivered')
  const accepted = events.find(event => event.messageId === id && event.type === 'accepted')
  assert.deepEqual((accepted as unknown as { forwardPaths: string[] }).forwardPaths, to)
  await wanted.waitFor(() => to.every(path => wanted.messages.some(one => one.to.includes(path))))
  assert.equal(evil.sessions, 0)
})

test('long local parts, as SRS and VERP make them, pass in both paths up to 254 octets of address, and no further', async () => {
  await using client = await house.client()
  const sender = `SRS0=fGv9=BC=forwarder.example=bounce-${'4IDNASXYtY'.repeat(8)}`
  const recipient = 'r'.repeat(254 - '@ok.example'.length)
  queuedId(await client.send(`${sender}@acme.example`, `${recipient}@ok.example`, message()))
  await wanted.waitFor(() => wanted.messages.some(one => one.from === `${sender}@acme.example`))
  const { to } = wanted.messages.find(one => one.from === `${sender}@acme.example`)!
  assert.deepEqual(to, [`${recipient}@ok.example`])
  assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
  const tooLong = await client.command(`RCPT TO:<r${recipient}@ok.example>`)
  assert.match(tooLong.text, /^501 5\.1\.3 .*longer than 25[46] octets/)
})

// ---- what ends lines or texts, wherever a client can write it -------------------------------------------------------

/** Octets as they are sent: latin1. */
const controls = [
  ['a bare CR', '\r'],
  ['a bare LF', '\n'],
  ['a NUL', '\0'],
  ['a vertical tab', '\x0b'],
  ['an escape', '\x1b'],
  ['a DEL', '\x7f'],
  ['a C1 control in UTF-8', '\xc2\x85'],
  ['half a character', '\xc3'],
  ['an overlong line end', '\xc0\x8a'],
] as const
/** May stand in some places, and mean nothing there. */
const odd = [
  ['a space', ' '],
  ['a tab', '\t'],
  ['an encoded line end', '%0d%0a'],
  ['an encoded NUL', '%00'],
  ['a line end in xtext', '+0D+0A'],
  ['a NUL in xtext', '+00'],
  ['a quote', '"'],
  ['a backslash', '\\'],
  ['an empty path', '<>'],
  ['a closing bracket', '>'],
  ['a comma', ','],
  ['a line separator', '\xe2\x80\xa8'],
] as const

/** Where it is put (`!`): each takes one line, and a transaction with one recipient if it is taken. */
const places = [
  ['the local part of MAIL', '<an!n@acme.example>', '<u@ok.example>'],
  ['the domain of MAIL', '<ann@acme!.example>', '<u@ok.example>'],
  ['the source route of MAIL', '<@hop!.example:ann@acme.example>', '<u@ok.example>'],
  ['SIZE', '<ann@acme.example> SIZE=1!0', '<u@ok.example>'],
  ['BODY', '<ann@acme.example> BODY=8BIT!MIME', '<u@ok.example>'],
  ['RET', '<ann@acme.example> RET=FU!LL', '<u@ok.example>'],
  ['ENVID', '<ann@acme.example> ENVID=a!RCPT', '<u@ok.example>'],
  ['AUTH of MAIL', '<ann@acme.example> AUTH=a!RSET@b.example', '<u@ok.example>'],
  ['a keyword of MAIL', '<ann@acme.example> X-K!=1', '<u@ok.example>'],
  ['the local part of RCPT', '<ann@acme.example>', '<u!v@ok.example>'],
  ['a quoted local part of RCPT', '<ann@acme.example>', '<"u!v@evil.example"@ok.example>'],
  ['the domain of RCPT', '<ann@acme.example>', '<u@ok!.example>'],
  ['the source route of RCPT', '<ann@acme.example>', '<@evil!.example:u@ok.example>'],
  ['NOTIFY', '<ann@acme.example>', '<u@ok.example> NOTIFY=FAIL!URE'],
  ['the type of ORCPT', '<ann@acme.example>', '<u@ok.example> ORCPT=rfc!822;v@evil.example'],
  ['the address of ORCPT', '<ann@acme.example>', '<u@ok.example> ORCPT=rfc822;v!w@evil.example'],
  ['ORCPT of the utf-8 type', '<ann@acme.example>', '<u@ok.example> ORCPT=utf-8;v!\\x{0A}w@evil.example'],
] as const

async function line(client: SmtpClient, text: string): Promise<ClientReply> {
  client.write(Buffer.from(`${text}\r\n`, 'latin1'))
  return await client.reply()
}

for (const [place, mail, rcptArgument] of places)
  test(`controls and odd octets in ${place} are refused, or stay where they are`, async () => {
    const accepted: string[] = []
    for (const [name, octets] of [...controls, ...odd]) {
      await using client = await house.client()
      const isControl = controls.some(one => one[0] === name)
      const replies = [await line(client, `MAIL FROM:${mail.replace('!', octets)}`)]
      if (replies[0]!.code === 250)
        replies.push(await line(client, `RCPT TO:${rcptArgument.replace('!', octets)}`))
      const last = replies.at(-1)!
      if (last.code !== 250) assert.match(last.text, /^5(?:00|01|50|53|55) 5\./, name)
      else assert.equal(isControl, false, `${name} was taken`)
      if (last.code !== 250) continue
      await client.command('DATA')
      accepted.push(queuedId(await line(client, `${message()}\r\n.`)))
      // In step: one reply for each line, and no more.
      assert.match((await client.command('NOOP')).text, /^250 /)
    }
    if (accepted.length > 0) await waitForAll(house.server, accepted, 'delivered')
    assert.equal(evil.sessions, 0)
  })

test('what stands behind a bare LF is refused with it: no recipient can be hidden there', async () => {
  for (const hidden of ['RCPT TO:<v@evil.example>', 'RSET', 'DATA', 'QUIT']) {
    await using client = await house.client()
    assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
    client.write(`RCPT TO:<u@ok.example>\n${hidden}\r\n`)
    assert.match((await client.reply()).text, /^500 5\.5\.2 /)
    assert.match((await client.reply()).text, /^500 5\.5\.2 /)
    assert.equal((await client.command('DATA')).code, 503, 'no recipient was taken')
    assert.equal((await client.command('RCPT TO:<u@ok.example>')).code, 250, 'the transaction is still there')
  }
})

test('a CR LF inside of a command is two lines, and the second one is no part of the first', async () => {
  await using client = await house.client()
  client.write('MAIL FROM:<ann@acme.example\r\nRCPT TO:<v@evil.example>\r\nDATA\r\n')
  assert.equal((await client.reply()).code, 501)
  assert.equal((await client.reply()).code, 503)
  assert.equal((await client.reply()).code, 503)
})

test('a name in EHLO or HELO with anything but letters, digits, dots and the like is refused', async () => {
  for (const [name, octets] of [...controls, ...odd])
    for (const verb of ['EHLO', 'HELO']) {
      await using client = await SmtpClient.connect(house.ports.submission)
      const reply = await line(client, `${verb} a${octets}b.example`)
      assert.match(reply.text, /^50[01] 5\.5\.[24] /, `${verb} with ${name}`)
    }
})

test('odd names in EHLO that are taken stay inside the one Received field', async () => {
  const names = ['x', '-', '...', '[]', '[IPv6:::1]', ':', '_', 'a'.repeat(255), 'by-evil.example']
  for (const name of names) {
    await using client = await house.client()
    await client.hello(name)
    const id = queuedId(await client.send('ann@acme.example', 'u@ok.example', message()))
    await waitForAll(house.server, [id], 'delivered')
    const content = wanted.messages.find(one => one.content.includes(id))!.content.toString('latin1')
    const [received = ''] = content.replace(/\r\n[ \t]/g, ' ').split('\r\n')
    assert.match(
      received,
      new RegExp(`^Received: from \\S+ by relay\\.example with ESMTPSA id ${id} for <u@ok\\.example>; `),
    )
  }
})

test('user names with controls, quotes and brackets are refused as any other, by PLAIN and by LOGIN', async () => {
  const names = [
    'a\r\nRSET',
    'a\rb',
    'a\nb',
    'a\0b',
    'a b',
    '"a"',
    '<>',
    'a%0d%0ab',
    'a\u2028b',
    'a\u0085b',
    '\u001b[2J',
    `a' OR 1=1 --`,
  ]
  for (const [at, name] of names.entries()) {
    // From an address of its own each: refusals slow down for one that has many.
    const from = { isTls: true, localAddress: `127.44.0.${at + 1}` }
    await using guesser = await SmtpClient.connect(house.ports.submissions, from)
    await guesser.hello()
    assert.match(
      (await guesser.command(`AUTH PLAIN ${plainToken(name, 'pr_x')}`)).text,
      /^5(?:35 5\.7\.8|01 5\.5\.2) /,
    )
    assert.equal((await guesser.command('AUTH LOGIN')).code, 334)
    const asked = await guesser.command(base64(name))
    const last = asked.code === 334 ? await guesser.command(base64('pr\r\nx')) : asked
    assert.match(last.text, /^5(?:35 5\.7\.8|01 5\.5\.2) /)
    assert.equal((await guesser.command('MAIL FROM:<ann@acme.example>')).code, 530)
  }
})

// ---- what comes of it: reports, and what is written, sent and shown -------------------------------------------------

/** The lines of a text with their continuations. */
function fieldsOf(text: string): string[] {
  return text
    .replace(/\r\n[ \t]/g, ' ')
    .split('\r\n')
    .filter(one => one !== '')
}

test('a report has its own fields and no other, whatever ENVID, ORCPT and the reply of the server hold', async () => {
  await using client = await house.client()
  const parameters = {
    mail: ' ENVID=a+20b+3A+20c+22+3C+3E\\x2C+3BX-Evil:+20y',
    rcpt: ' NOTIFY=FAILURE ORCPT=rfc822;"v+20w"@evil.example+20X-Evil:+20y',
  }
  const id = queuedId(await client.send('ann@acme.example', 'unknown@ok.example', message(), parameters))
  const events = await waitForAll(house.server, [id], 'bounced')
  const { outcome } = events.find(event => event.messageId === id && event.type === 'bounced')!
  assert.match(outcome!.text, /^no/)
  // The report goes to acme.example, and so to the other receiver.
  await evil.waitFor(1)
  const report = evil.messages[0]!
  assert.deepEqual([report.from, report.to], ['', ['ann@acme.example']])
  const text = report.content.toString('latin1')
  assert.match(text, /^[\t\r\n\x20-\x7e]*$/)
  assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/)
  const header = fieldsOf(text.slice(0, text.indexOf('\r\n\r\n'))).map(field => field.split(':')[0])
  assert.deepEqual(header, [
    'From',
    'To',
    'Subject',
    'Date',
    'Message-ID',
    'Auto-Submitted',
    'MIME-Version',
    'Content-Type',
  ])
  const status = /\r\nContent-Type: message\/delivery-status\r\n\r\n(.*?)\r\n--/s.exec(text)![1]!
  const fields = fieldsOf(status)
  assert.deepEqual(
    fields.map(field => field.split(':')[0]),
    [
      'Original-Envelope-Id',
      'Reporting-MTA',
      'Arrival-Date',
      'Original-Recipient',
      'Final-Recipient',
      'Action',
      'Status',
      'Remote-MTA',
      'Diagnostic-Code',
      'Last-Attempt-Date',
    ],
  )
  assert.equal(fields[0], 'Original-Envelope-Id: a b: c"<>\\x2C;X-Evil: y')
  assert.equal(fields[3], 'Original-Recipient: rfc822; "v w"@evil.example X-Evil: y')
  assert.equal(evil.messages.length, 1)
})

/** Every text in a value, its names too. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)])
}

const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

test('after all of that every command that left is one line with one path, to a recipient that was named', () => {
  const sent = [...wanted.commands, ...evil.commands]
  assert.ok(sent.length > 100, `${sent.length} commands`)
  for (const command of sent) {
    assert.doesNotMatch(command, control)
    assert.match(
      command,
      /^(?:EHLO relay\.example|MAIL FROM:<[^ <>]*>(?: [A-Z0-9]+(?:=[^ ]+)?)*|RCPT TO:<(?:"(?:[^"\\]|\\.)*"|[^ <>"]+)@(?:ok|acme)\.example>(?: [A-Z]+=[^ ]+)*|DATA|RSET|NOOP|QUIT)$/,
    )
  }
})

test('after all of that every message that left has the fields that were given and ours', () => {
  const known = ['Received', 'Message-ID', 'Date', 'From', 'To', 'Subject', 'Cc']
  for (const { content } of wanted.messages) {
    const text = content.toString('latin1')
    const fields = fieldsOf(text.slice(0, text.indexOf('\r\n\r\n')))
    for (const field of fields) assert.ok(known.includes(field.split(':')[0]!), field)
    assert.equal(new Set(fields.map(field => field.split(':')[0])).size, fields.length, 'each once')
  }
})

test('after all of that no event and no line of the log holds a control character', async () => {
  const events = await eventsOf(house.server)
  assert.ok(events.some(event => event.type === 'rejected'))
  for (const event of events)
    for (const text of textsIn(event))
      assert.doesNotMatch(text, control, `${event.type}: ${JSON.stringify(text)}`)
  const lines = house.server.output.split('\n').filter(one => one !== '')
  for (const one of lines)
    for (const text of textsIn(JSON.parse(one))) assert.doesNotMatch(text, control, JSON.stringify(text))
})

test('after all of that the command line shows no control character', async () => {
  const bounced = (await eventsOf(house.server)).filter(event => event.type === 'bounced')
  assert.ok(bounced.length > 0)
  const argvs = [
    ['events'],
    ['message', 'list'],
    ['queue', 'list'],
    ['message', 'show', bounced[0]!.messageId!],
  ]
  for (const argv of argvs) {
    const { code, stdout, stderr } = await house.command(...argv)
    assert.equal(code, 0, stderr)
    for (const one of stdout.split('\n')) assert.doesNotMatch(one, control, argv.join(' '))
  }
})
