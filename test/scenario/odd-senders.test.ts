// Situation: a client that may send as its own domain only, by its network or by a login, writes senders in every odd form
// in which a domain of others could look like its own, or its own hide one of others.
//
// The forms are those of open relay tests, turned round. What counts is the domain behind the last at-sign of the address
// as it is parsed; each refusal is one of the contract, and nobody is called.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { plainToken, queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const own = 'acme.example'
const foreign = 'foreign.example'
/** Who comes from here sends without a login, as the account's own domains only. */
const inside = '127.9.0.1'

let receiver: Receiver
let house: House

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(receiver.route, { relay: `networks = ["${inside}"]\naccount = "acme"` })
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

/** Argument of MAIL without its parameters. */
const refused: readonly (readonly [name: string, path: string])[] = [
  ['a foreign domain', `<u@${foreign}>`],
  ['our own name', '<u@relay.example>'],
  ['localhost', '<u@localhost>'],
  ['our own address', '<u@[127.0.0.1]>'],
  ['an IPv6 literal', '<u@[IPv6:::1]>'],
  ['no domain', '<ann>'],
  ['postmaster without a domain', '<postmaster>'],
  ['no brackets', `ann@${own}`],
  ['an own address in quotes at a foreign domain', `<"ann@${own}"@${foreign}>`],
  ['an own address in quotes and no domain', `<"ann@${own}">`],
  ['a percent hack at a foreign domain', `<ann%${own}@${foreign}>`],
  ['a percent hack without a domain', `<ann%${own}>`],
  ['a bang path at a foreign domain', `<${own}!ann@${foreign}>`],
  ['a bang path without a domain', `<${own}!ann>`],
  ['two at-signs, the foreign domain last', `<ann@${own}@${foreign}>`],
  ['two at-signs, the own domain last', `<u@${foreign}@${own}>`],
  ['a source route over the own domain', `<@${own}:u@${foreign}>`],
  ['a source route of two hops over the own domain', `<@[127.0.0.1],@${own}:u@${foreign}>`],
  ['a source route and nothing behind it', `<@${own}>`],
  ['a sub-domain', `<ann@sub.${own}>`],
  ['the own domain as a sub-domain', `<ann@${own}.${foreign}>`],
  ['the own domain as the end of a label', `<ann@not${own}>`],
  ['a trailing dot', `<ann@${own}.>`],
  ['a leading dot', `<ann@.${own}>`],
  ['blanks in the brackets', `<ann@${own} >`],
  ['a comment behind the domain', `<ann@${own}(${foreign})>`],
  ['a second path behind a comma', `<ann@${own}>,<u@${foreign}>`],
  ['a second path as a parameter', `<ann@${own}> <u@${foreign}>`],
  ['an own address as AUTH', `<u@${foreign}> AUTH=ann@${own}`],
  ['a fullwidth at-sign', `<ann＠${own}>`],
  ['a fullwidth dot', '<ann@acme。example>'],
  ['fullwidth letters', '<ann@ａｃｍｅ.example>'],
  ['a letter of another script', '<ann@аcme.example>'],
  ['a soft hyphen', '<ann@ac\u00adme.example>'],
]

/** No path, and in a header the account's own address all the same (RFC 5322 §3.2.2). */
const ownInHeader: ReadonlySet<string> = new Set(['blanks in the brackets', 'a comment behind the domain'])

/** These are the account's own, whatever is in them; and what leaves as sender. */
const allowed: readonly (readonly [name: string, path: string, leaves: string])[] = [
  ['a foreign address in quotes', `<"u@${foreign}"@${own}>`, `"u@${foreign}"@${own}`],
  ['a percent hack', `<u%${foreign}@${own}>`, `u%${foreign}@${own}`],
  ['a bang path', `<${foreign}!u@${own}>`, `${foreign}!u@${own}`],
  ['a source route over a foreign domain, which goes', `<@${foreign}:ann@${own}>`, `ann@${own}`],
  ['capitals', `<Ann@ACME.Example>`, `Ann@${own}`],
]

async function ofNetwork(): Promise<SmtpClient> {
  const client = await SmtpClient.connect(house.ports.relay, { localAddress: inside })
  await client.hello()
  return client
}

/** At the door of the network, too: a login there is a login, and no more. */
async function loggedInAtRelay(): Promise<SmtpClient> {
  const client = await ofNetwork()
  await client.startTls()
  const { username, secret } = house.login
  assert.equal((await client.command(`AUTH PLAIN ${plainToken(username, secret)}`)).code, 235)
  return client
}

const clients: readonly (readonly [who: string, open: () => Promise<SmtpClient>])[] = [
  ['a client of a network', ofNetwork],
  ['a client with a login', () => house.client()],
  ['a client of a network with a login', loggedInAtRelay],
]

const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text)

for (const [who, open] of clients) {
  for (const [name, path] of refused)
    test(`${who} cannot send as others by ${name}`, async () => {
      for (const parameter of isAscii(path) ? [''] : ['', ' SMTPUTF8']) {
        await using client = await open()
        const { text } = await client.command(`MAIL FROM:${path}${parameter}`)
        assert.match(text, /^(?:550 5\.7\.1|501 5\.1\.7|501 5\.5\.4|553 5\.6\.7) /)
        assert.equal((await client.command(`RCPT TO:<bob@${foreign}>`)).code, 503)
        assert.equal((await client.command('DATA')).code, 503)
      }
    })

  for (const [name, path] of refused.filter(one => /^<[^@].*@.*>$/.test(one[1]) && !ownInHeader.has(one[0])))
    test(`${who} cannot write as others in From or Sender by ${name}`, async () => {
      await using client = await open()
      const address = path.slice(1, -1)
      const from = message().replace('Ann <ann@acme.example>', address)
      for (const content of [from, message([`Sender: ${address}`])]) {
        const { text } = await client.send(`ann@${own}`, `bob@${foreign}`, content)
        assert.match(text, /^550 5\.(?:6\.0|7\.1) /)
      }
    })

  for (const [name, path, leaves] of allowed)
    test(`${who} may send as its own domain by ${name}, and that is what leaves`, async () => {
      await using client = await open()
      assert.equal((await client.command(`MAIL FROM:${path}`)).code, 250)
      for (const [line, code] of [
        [`RCPT TO:<bob@${foreign}>`, 250],
        ['DATA', 354],
      ] as const)
        assert.equal((await client.command(line)).code, code)
      client.write(`${message()}\r\n.\r\n`)
      const id = queuedId(await client.reply())
      await waitForAll(house.server, [id], 'delivered')
      assert.equal(receiver.messages.find(one => one.content.includes(id))?.from, leaves)
    })
}

test('after all of that nothing was accepted but what is the account’s own', async () => {
  const count = allowed.length * clients.length
  assert.equal((await eventsOf(house.server)).filter(event => event.type === 'accepted').length, count)
  assert.equal(receiver.messages.length, count)
  for (const { from } of receiver.messages) assert.ok(from.endsWith(`@${own}`), from)
})
