// Situation: odd, ambiguous, look-alike and over-long addresses in MAIL and RCPT, by a client that may use any sender.
//
// The corpus is that of the grammar. What is an address is looked for in the commands that reach the receiver; what is none
// gets its refusal, and the session goes on.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accepted, refused } from '../../src/protocol/mail/testing/address-corpus.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, message, waitForAll } from './support/house.ts'
import { type Received, Receiver } from './support/receiver.ts'

let receiver: Receiver
let house: House
/** Who comes from here may use any sender, without a login. */
const inside = '127.9.0.1'
const sender = 'ann@acme.example'

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(receiver.route, {
    relay: `networks = ["${inside}"]\naccount = "acme"\nsenders = "any"`,
  })
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

async function insider(): Promise<SmtpClient> {
  const client = await SmtpClient.connect(house.ports.relay, { localAddress: inside })
  await client.hello()
  return client
}

/** What MAIL must say for this address. */
const parameterFor = (address: string): string => (/[^\x00-\x7f]/.test(address) ? ' SMTPUTF8' : '')

/** The receiver keeps an octet a character. */
const readable = (path: string): string => Buffer.from(path, 'latin1').toString()

async function arrived(id: string): Promise<Received> {
  await waitForAll(house.server, [id], 'delivered')
  return receiver.messages.find(one => one.content.includes(id))!
}

for (const [given, normal] of accepted)
  test(`${given.slice(0, 60)} is taken as sender and as recipient, and leaves as ${normal.slice(0, 60)}`, async () => {
    await using client = await insider()
    const reply = await client.send(given, given, message(), { mail: parameterFor(given) })
    const { from, to } = await arrived(queuedId(reply))
    assert.deepEqual([from, ...to].map(readable), [normal, normal])
  })

/** The line, and what the server says to it: a line end in the address makes two commands of it, both refused. */
async function refusals(
  client: SmtpClient,
  verb: string,
  given: string,
  parameters: string,
): Promise<string[]> {
  client.write(`${verb}:<${given}>${parameters}\r\nNOOP\r\n`)
  const texts: string[] = []
  for (;;) {
    const { code, text } = await client.reply()
    if (code === 250) return texts
    texts.push(text)
  }
}

for (const given of refused)
  test(`${JSON.stringify(given).slice(0, 60)} is refused as sender and as recipient, and the session goes on`, async () => {
    const before = receiver.messages.length
    await using client = await insider()
    const parameter = parameterFor(given)
    // The null reverse-path is a sender, and no address.
    const asSender = given === '' ? [] : await refusals(client, 'MAIL FROM', given, parameter)
    assert.equal((await client.command(`MAIL FROM:<${sender}>${parameter}`)).code, 250)
    const asRecipient = await refusals(client, 'RCPT TO', given, '')
    const lines = given.split(/\r?\n/).length
    assert.deepEqual([asSender.length, asRecipient.length], [given === '' ? 0 : lines, lines])
    for (const text of [...asSender, ...asRecipient]) assert.match(text, /^(?:500|501|553|555) 5\.\d\.\d /)
    assert.equal((await client.command('RSET')).code, 250)
    const id = queuedId(await client.send(sender, 'bob@there.example', message()))
    assert.deepEqual((await arrived(id)).to, ['bob@there.example'])
    assert.equal(receiver.messages.length, before + 1)
  })

test('after all of that nothing was accepted but what was sent on purpose', async () => {
  const ids = (await eventsOf(house.server)).filter(event => event.type === 'accepted')
  assert.equal(ids.length, accepted.length + refused.length)
})
