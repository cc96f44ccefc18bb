// Situation: an application with a login submits all sorts of messages: the rules of submission, as promised.
//
// What is refused is refused with the code of the contract and a word about what to do; what is accepted arrives with
// exactly the changes that were promised.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ClientReply, queuedId, type SmtpClient } from './support/client.ts'
import { House, type Login, message, type ShownEvent, waitForAll, waitForEvents } from './support/house.ts'
import { type Received, Receiver } from './support/receiver.ts'

let receiver: Receiver
let house: House

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(receiver.route)
  await house.server.json('account', 'create', 'rival')
  await house.server.json('domain', 'add', '--account', 'rival', '--trust', '--no-dkim', 'rival.example')
  await house.server.json('domain', 'add', '--account', 'acme', 'pending.example')
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

const to = 'bob@there.example'
const content = (header: readonly string[], body = 'Hello.'): string => [...header, '', body].join('\r\n')

async function submit(text: string | Buffer, from = 'ann@acme.example', login?: Login): Promise<ClientReply> {
  await using client = await house.client(login)
  return await client.send(from, to, text)
}

/** Submits and gives what arrived. */
async function arrived(text: string | Buffer, from?: string, login?: Login): Promise<Received> {
  const id = queuedId(await submit(text, from, login))
  await waitForAll(house.server, [id], 'delivered')
  const found = receiver.messages.find(one => one.content.includes(id))
  assert.ok(found, `${id} arrived`)
  return found
}

const badFroms = [
  ['no From', ['To: bob@there.example', 'Subject: s']],
  ['a second From', ['From: ann@acme.example', 'From: ann@acme.example', 'Subject: s']],
  ['a From of two mailboxes', ['From: ann@acme.example, ben@acme.example', 'Sender: ann@acme.example']],
  ['a From of two mailboxes, one in a group', ['From: g: ann@acme.example, ben@acme.example;']],
  ['an empty group as From', ['From: nobody:;']],
  ['an empty From', ['From: ', 'Subject: s']],
  ['a From without a domain', ['From: ann']],
  ['a From that is only a name', ['From: "ann@acme.example"']],
] as const
for (const [name, header] of badFroms) {
  test(`a message with ${name} is refused with 550 5.6.0`, async () => {
    assert.match((await submit(content(header))).text, /^550 5\.6\.0 .*From/)
  })
}

const foreignFroms = [
  ['an unknown domain', 'ann@nowhere.example'],
  ['the domain of another account', 'ann@rival.example'],
  ['a sub-domain of an own domain', 'ann@sub.acme.example'],
  ['a domain that has no proof yet', 'ann@pending.example'],
  ['an own domain as display name only', '"ann@acme.example" <x@nowhere.example>'],
] as const
for (const [name, from] of foreignFroms) {
  test(`a From of ${name} is refused with 550 5.7.1, which names the domain`, async () => {
    const reply = await submit(content([`From: ${from}`, 'Subject: s']))
    assert.match(reply.text, /^550 5\.7\.1 /)
    assert.ok(reply.text.includes(/([a-z.]+)>?$/.exec(from)![1]!), reply.text)
  })
}

const ownFrom = 'From: ann@acme.example'
const foreignSenders = [
  ['a Sender of an unknown domain', ['Sender: boss@nowhere.example']],
  ['a Sender of a domain of another account', ['Sender: The Boss <boss@rival.example>']],
  ['a Sender of a domain that has no proof yet', ['Sender: boss@pending.example']],
  ['a Resent-From of an unknown domain', ['Resent-From: ann@acme.example, boss@nowhere.example']],
  [
    'a second Resent-Sender of another account',
    ['Resent-Sender: ann@acme.example', 'RESENT-sender: x@rival.example'],
  ],
] as const
for (const [name, header] of foreignSenders) {
  test(`a message with ${name} is refused with 550 5.7.1, which names the domain and what to do`, async () => {
    const reply = await submit(content([ownFrom, ...header]))
    assert.match(reply.text, /^550 5\.7\.1 .*postrider domain add .*\[sender-(?:not-owned|domain-pending)\]$/)
    assert.ok(
      reply.text.includes(/@((?:nowhere|rival|pending)\.example)/.exec(header.at(-1)!)![1]!),
      reply.text,
    )
  })
}

for (const [name, header] of [
  ['two Sender fields', ['Sender: ann@acme.example', 'Sender: ann@acme.example']],
  ['a Sender of two addresses', ['Sender: ann@acme.example, ben@acme.example']],
  ['a Sender without a domain', ['Sender: root']],
  ['a Sender with an address in its name', ['Sender: ann@acme.example <x@acme.example>']],
] as const) {
  test(`a message with ${name} is refused with 550 5.6.0`, async () => {
    assert.match(
      (await submit(content([ownFrom, ...header]))).text,
      /^550 5\.6\.0 .*Sender.*\[sender-invalid\]$/,
    )
  })
}

test('Sender and Resent fields of own domains stay as they are', async () => {
  const fields = [
    'Sender: "The desk" <desk@acme.example>',
    'Resent-From: ann@acme.example, ben@acme.example',
    'Resent-Sender: ann@acme.example',
    'Resent-Sender: ben@acme.example',
  ]
  const got = (await arrived(content([...fields, ownFrom]))).content.toString()
  assert.ok(got.includes(`${fields.join('\r\n')}\r\n${ownFrom}\r\n`))
})

for (const from of ['ann@nowhere.example', 'ann@rival.example', 'ann@pending.example']) {
  test(`MAIL FROM ${from} is refused with 550 5.7.1`, async () => {
    await using client = await house.client()
    assert.match((await client.command(`MAIL FROM:<${from}>`)).text, /^550 5\.7\.1 /)
  })
}

test('an authenticated client may send the null reverse-path', async () => {
  const { from } = await arrived(message(), '')
  assert.equal(from, '')
})

test('Message-ID and Date are added when they are missing, and ours is made of the message’s id', async () => {
  const text = (await arrived(message())).content.toString()
  const [, id] = /^Message-ID: <(msg_[a-z2-7]{26})@relay\.example>\r\n/m.exec(text) ?? []
  assert.ok(id !== undefined)
  assert.match(text, new RegExp(`id ${id}`))
  const [, date] = /^Date: (.*)\r\n/m.exec(text) ?? []
  assert.ok(Math.abs(Date.parse(date!) - Date.now()) < 60_000)
})

test('Message-ID and Date that are there stay as they are', async () => {
  const fields = ['Message-ID: <Own.1@acme.example>', 'Date: Mon, 01 Jan 2024 00:00:00 +0000']
  const text = (await arrived(message(fields))).content.toString()
  for (const field of fields) assert.ok(text.includes(`\r\n${field}\r\n`))
  assert.equal(text.match(/^(?:Message-ID|Date):/gim)?.length, 2)
})

test('Bcc is removed, folded and in any case, and everything else keeps its bytes and order', async () => {
  const text = content([
    'Subject:  two  spaces',
    'bCC: hidden@there.example,',
    '\tmore@there.example',
    'X-Odd : kept',
    'From: ann@acme.example',
    'Bcc: again@there.example',
    'X-Bcc: stays',
  ])
  const got = (await arrived(text)).content.toString()
  assert.doesNotMatch(got, /hidden|more@|again@/)
  const kept =
    'Subject:  two  spaces\r\nX-Odd : kept\r\nFrom: ann@acme.example\r\nX-Bcc: stays\r\n\r\nHello.\r\n'
  assert.ok(got.endsWith(kept), got)
})

test('8-bit content that was not declared is accepted, and sent on as declared', async () => {
  const got = await arrived(
    message(['MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8'], 'Grüße'),
  )
  assert.ok(got.content.includes(Buffer.from('Grüße')))
  assert.match(got.fromParameters, /BODY=8BITMIME/)
})

test('a line of 998 bytes passes and one of 999 is refused with 550 5.6.0', async () => {
  const got = await arrived(message([], 'x'.repeat(998)))
  assert.ok(got.content.includes('x'.repeat(998)))
  assert.match((await submit(message([], 'x'.repeat(999)))).text, /^550 5\.6\.0 .*999/)
})

test('a credential with long_lines "encode" has long lines encoded again', async () => {
  const login = await house.server.json<Login>(
    ...(['credential', 'create', '--account', 'acme', '--long-lines', 'encode'] as const),
  )
  const long = `${'a long line, '.repeat(200)}ends`
  const got = (await arrived(message([], long), undefined, login)).content.toString()
  assert.ok(Math.max(...got.split('\r\n').map(line => line.length)) <= 998)
  assert.match(got, /^Content-Transfer-Encoding: quoted-printable\r\n/m)
  const body = got.slice(got.indexOf('\r\n\r\n') + 4)
  assert.equal(body.replaceAll('=\r\n', ''), `${long}\r\n`)
})

test('a credential with bare_lf "mend" has bare LF mended, and CR and NUL are refused all the same', async () => {
  const login = await house.server.json<Login>(
    ...(['credential', 'create', '--account', 'acme', '--bare-lf', 'mend'] as const),
  )
  const got = (
    await arrived(message().replaceAll('\r\n', '\n').replace('Hello.', 'one\ntwo'), undefined, login)
  ).content
  assert.ok(got.includes('\r\none\r\ntwo'))
  assert.doesNotMatch(got.toString('latin1'), /(?<!\r)\n/)
  for (const bad of ['a\rb', 'a\0b'])
    assert.match((await submit(message([], bad), undefined, login)).text, /^550 5\.6\.0 /)
  const smuggling = `${message()}\n.\nMAIL FROM:<ann@acme.example>\nRCPT TO:<x@there.example>\nDATA\n\nx`
  const reply = await submit(smuggling, undefined, login)
  if (reply.code !== 250) assert.match(reply.text, /^550 5\.6\.0 /)
})

test('mended mail cannot smuggle either: a lone dot is stuffed', async () => {
  const login = await house.server.json<Login>(
    ...(['credential', 'create', '--account', 'acme', '--bare-lf', 'mend'] as const),
  )
  const before = receiver.messages.length
  const reply = await submit(`${message()}\n.\nMAIL FROM:<x@acme.example>\r\n.\r\n.more`, undefined, login)
  if (reply.code === 250) {
    await waitForAll(house.server, [queuedId(reply)], 'delivered')
    assert.equal(receiver.messages.length, before + 1)
    assert.ok(receiver.messages.at(-1)!.raw.includes('\r\n..\r\nMAIL FROM'))
  } else assert.match(reply.text, /^550 5\.6\.0 /)
})

test('each refusal of an authenticated client is in the event log, with its words and the client’s address', async () => {
  const refused = await submit(content(['From: ann@nowhere.example']))
  const isLast = (event: ShownEvent): boolean => event.text?.includes('nowhere.example in From') === true
  const events = await waitForEvents(house.server, all => all.some(isLast))
  const last = events.findLast(isLast)!
  assert.deepEqual([last.type, last.code, last.messageId], ['rejected', 550, null])
  assert.equal(last.clientAddress, '127.0.0.1')
  assert.ok(refused.text.includes(last.text!))
})

test('one session may send many messages, with refused ones between', async () => {
  await using client: SmtpClient = await house.client()
  const ids: string[] = []
  for (let round = 0; round < 5; round++) {
    assert.equal((await client.send('ann@acme.example', to, content(['Subject: no From']))).code, 550)
    ids.push(queuedId(await client.send('ann@acme.example', to, message())))
  }
  assert.equal(new Set(ids).size, 5)
  await waitForAll(house.server, ids, 'delivered')
})
