// Situation: a client tries to hide a second message behind something that only looks like the end of data.
//
// The ten terminators that smuggled mail through other servers, and the border cases. The receiver behind us is a weak
// one: it ends DATA at anything like a lone dot, so a smuggled message would show as a second one.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ClientReply, queuedId, SmtpClient } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const falseEnds = [
  ['LF . LF', '\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CR . LF', '\r.\n'],
  ['LF . CR', '\n.\r'],
  ['LF . CR LF', '\n.\r\n'],
  ['CR LF . LF', '\r\n.\n'],
  ['CR . CR LF', '\r.\r\n'],
  ['CR LF . CR', '\r\n.\r'],
  ['CR LF NUL . CR LF', '\r\n\0.\r\n'],
  ['CR LF . NUL CR LF', '\r\n.\0\r\n'],
] as const

const smuggled = [
  'MAIL FROM:<ann@acme.example>',
  'RCPT TO:<smuggled@there.example>',
  'DATA',
  'From: ann@acme.example',
  '',
  'smuggled',
].join('\r\n')

let receiver: Receiver
let house: House
/** Ids of everything that was accepted. */
const accepted: string[] = []

before(async () => {
  receiver = await Receiver.start({ isLax: true })
  house = await House.open(receiver.route)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

/** The session must still be in order: an ordinary message is taken, and only the replies that are due have come. */
async function goesOn(client: SmtpClient): Promise<void> {
  const reply = await client.send('ann@acme.example', 'bob@there.example', message())
  accepted.push(queuedId(reply))
  assert.equal((await client.command('NOOP')).code, 250, 'no reply is left over')
}

function isRefused(reply: ClientReply): void {
  assert.match(reply.text, /^55[04] 5\.6\.0 /)
}

for (const [name, end] of falseEnds) {
  test(`${name} does not end DATA, and the whole is refused at the true end`, async () => {
    await using client = await house.client()
    isRefused(await client.send('ann@acme.example', 'bob@there.example', `${message()}${end}${smuggled}`))
    await goesOn(client)
  })

  test(`${name} inside BDAT is refused when its chunks are complete`, async () => {
    await using client = await house.client()
    const content = `${message()}${end}${smuggled}\r\n`
    await client.command('MAIL FROM:<ann@acme.example>')
    await client.command('RCPT TO:<bob@there.example>')
    client.write(`BDAT ${content.length} LAST\r\n${content}`)
    isRefused(await client.reply())
    await goesOn(client)
  })

  test(`${name} is seen when each octet comes in a segment of its own`, async () => {
    await using client = await house.client()
    await client.command('MAIL FROM:<ann@acme.example>')
    await client.command('RCPT TO:<bob@there.example>')
    await client.command('DATA')
    client.write(message())
    for (const octet of `${end}${smuggled.slice(0, 20)}`) {
      client.write(octet)
      await new Promise(resolve => setImmediate(resolve))
    }
    client.write('\r\n.\r\n')
    isRefused(await client.reply())
    await goesOn(client)
  })
}

test('CR CR LF . CR LF ends DATA, and the bare CR in it is refused', async () => {
  await using client = await house.client()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<bob@there.example>')
  await client.command('DATA')
  client.write(`${message()}\r\r\n.\r\n`)
  isRefused(await client.reply())
  await goesOn(client)
})

test('a dot as the first line is an empty message, refused because it has no From', async () => {
  await using client = await house.client()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<bob@there.example>')
  await client.command('DATA')
  client.write('.\r\n')
  assert.match((await client.reply()).text, /^550 5\.6\.0 /)
  await goesOn(client)
})

for (const [name, end] of falseEnds)
  test(`${name} right behind 64 KiB of content, and across their end, is refused as well`, async () => {
    await using client = await house.client()
    const head = `${message()}\r\n`
    const lines = `${'x'.repeat(62)}\r\n`.repeat(1023)
    // The first octet behind the border, and each octet of it as the last before.
    for (let before = 0; before < end.length; before++) {
      const body = lines.slice(0, 65_536 - head.length - before)
      isRefused(await client.send('ann@acme.example', 'bob@there.example', `${head}${body}${end}${smuggled}`))
    }
    await goesOn(client)
  })

test('the true end is found wherever the segments are cut', async () => {
  await using client = await house.client()
  for (let cut = 1; cut <= 4; cut++) {
    await client.command('MAIL FROM:<ann@acme.example>')
    await client.command('RCPT TO:<bob@there.example>')
    await client.command('DATA')
    const end = '\r\n.\r\n'
    client.write(message() + end.slice(0, cut))
    await new Promise(resolve => setTimeout(resolve, 20))
    client.write(end.slice(cut))
    accepted.push(queuedId(await client.reply()))
  }
})

/** All replies until the server closes. */
async function untilClosed(client: SmtpClient): Promise<string[]> {
  const replies: string[] = []
  for (let reply = await client.replyOrEnd(); reply !== null; reply = await client.replyOrEnd())
    replies.push(reply.text)
  return replies
}

for (const [who, from, codes] of [
  ['a stranger', 'ann@acme.example', [530, 530, 554]],
  ['a client that is logged in, with a sender of others', 'ann@foreign.example', [550, 503, 503, 554]],
] as const)
  test(`commands pipelined behind the end of data are not obeyed and end the connection: ${who}`, async () => {
    await using client =
      who === 'a stranger' ? await SmtpClient.connect(house.ports.relay) : await house.client()
    if (who === 'a stranger') await client.hello()
    client.write(
      `MAIL FROM:<${from}>\r\nRCPT TO:<bob@there.example>\r\nDATA\r\n${message()}\r\n.\r\n` +
        `RSET\r\n${smuggled}\r\n.\r\n`,
    )
    const replies = await untilClosed(client)
    assert.deepEqual(
      replies.map(text => Number(text.slice(0, 3))),
      [...codes],
    )
  })

test('a stuffed dot is kept through us, and a weak receiver gets exactly one message for each accepted one', async () => {
  await using client = await house.client()
  const dotted = message([], '..\r\n..dots\r\nmiddle . dot')
  accepted.push(queuedId(await client.send('ann@acme.example', 'dots@there.example', dotted)))
  const events = await waitForAll(house.server, accepted, 'delivered')
  const taken = events.filter(event => event.type === 'accepted').map(event => event.messageId)
  assert.deepEqual(taken.sort(), [...accepted].sort(), 'nothing that was refused was queued')
  assert.equal(receiver.messages.length, accepted.length)
  assert.deepEqual(
    receiver.messages.filter(one => one.to.includes('smuggled@there.example')),
    [],
  )
  for (const { raw } of receiver.messages) {
    const text = raw.toString('latin1')
    assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/)
  }
  const dots = receiver.messages.find(one => one.to.includes('dots@there.example'))
  assert.match(dots!.raw.toString('latin1'), /\r\n\.\.\r\n\.\.dots\r\nmiddle \. dot\r\n$/)
})
