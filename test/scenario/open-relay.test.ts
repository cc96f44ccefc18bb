// Situation: a stranger, on loopback too, tries every known way to have mail relayed to a domain that is not ours.
//
// The relay door does relay, without a login, for a network in which the stranger is not.
// The recipient forms are the classic list of open relay tests. At every door, in the clear and under TLS, the answer is
// 530 or another 5xx, and nothing is ever delivered.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { plainToken, queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, message } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const us = 'relay.example'
const foreign = 'foreign.example'
const ourAddress = '127.0.0.1'
/** Who comes from here may relay without a login. */
const inside = '127.9.0.1'

/** Number and name of a form, its MAIL and RCPT arguments. */
const forms: readonly (readonly [name: string, mail: string, rcpt: string])[] = [
  ['1 a null sender', '<>', `<u@${foreign}>`],
  ['2 a foreign sender', `<u@${foreign}>`, `<u@${foreign}>`],
  ['3 a sender at our host', `<u@${us}>`, `<u@${foreign}>`],
  ['3 a sender of a hosted domain', '<ann@acme.example>', `<u@${foreign}>`],
  ['3 a hosted AUTH', '<ann@acme.example> AUTH=ann+40acme.example', `<u@${foreign}>`],
  ['4 a sender at our address', `<u@[${ourAddress}]>`, `<u@${foreign}>`],
  ['5 a percent hack at our host', '<>', `<u%${foreign}@${us}>`],
  ['6 a percent hack at our address', '<>', `<u%${foreign}@[${ourAddress}]>`],
  ['7 an address in quotes', '<>', `<"u@${foreign}">`],
  ['8 a percent hack in quotes', '<>', `<"u%${foreign}">`],
  ['9 two at-signs', '<>', `<u@${foreign}@${us}>`],
  ['10 two at-signs with our address', '<>', `<u@${foreign}@[${ourAddress}]>`],
  ['11 a quoted address at our host', '<>', `<"u@${foreign}"@${us}>`],
  ['12 a quoted address at our address', '<>', `<"u@${foreign}"@[${ourAddress}]>`],
  ['13 a source route', '<>', `<@${us}:u@${foreign}>`],
  ['14 a source route over our address', '<>', `<@[${ourAddress}]:u@${foreign}>`],
  ['15 a source route of two hops', '<>', `<@${us},@x.example:u@${foreign}>`],
  ['16 a bang path', '<>', `<${foreign}!u>`],
  ['17 a bang path at our host', '<>', `<${foreign}!u@${us}>`],
  ['18 a bang path at our address', '<>', `<${foreign}!u@[${ourAddress}]>`],
  ['19 a percent hack without a domain', '<>', `<u%${foreign}>`],
  ['20 no angle brackets', `u@${us}`, `u@${foreign}`],
  ['21 a trailing dot', '<>', `<u@${foreign}.>`],
  ['21 upper case', '<>', `<U@${foreign.toUpperCase()}>`],
  ['22 an address literal', '<>', '<u@[192.0.2.1]>'],
  ['22 an IPv6 literal', '<>', '<u@[IPv6:2001:db8::1]>'],
  ['23 a sub-domain of a hosted domain', '<>', '<u@sub.acme.example>'],
  ['24 a fullwidth at-sign', '<>', `<u＠${foreign}>`],
  ['24 fullwidth dots', '<>', '<u@foreign。example>'],
  ['24 letters that IDNA maps', '<>', '<u@ｆｏｒｅｉｇｎ.example>'],
  ['25 a foreign ORCPT', '<>', `<ann@acme.example> ORCPT=rfc822;u@${foreign}`],
  ['29 a forged bounce address', '<>', `<bounces+u=${foreign}@${us}>`],
]

let receiver: Receiver
let house: House
/** Each connection comes from an address of its own, so that no limit answers in place of the rule. */
let strangers = 0

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(receiver.route, {
    relay: `networks = ["${inside}/32"]\naccount = "acme"\nsenders = "any"`,
  })
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

type Door = 'relay' | 'submission' | 'submissions'

function nextStranger(): { readonly localAddress: string } {
  strangers++
  return { localAddress: `127.1.${Math.floor(strangers / 200)}.${(strangers % 200) + 1}` }
}

async function stranger(door: Door, isSecure: boolean): Promise<SmtpClient> {
  const from = nextStranger()
  const client = await SmtpClient.connect(house.ports[door], { isTls: door === 'submissions', ...from })
  await client.hello('stranger.example')
  if (isSecure && door !== 'submissions') await client.startTls()
  return client
}

/** Every step of a transaction is refused for good, and the first one says why. */
async function refusedAll(client: SmtpClient, mail: string, rcpt: string): Promise<void> {
  const first = await client.command(`MAIL FROM:${mail}`)
  assert.match(first.text, /^5\d\d 5\./)
  for (const line of [`RCPT TO:${rcpt}`, 'DATA']) {
    const { code, text } = await client.command(line)
    assert.ok(code >= 500 && code < 600, text)
  }
}

for (const [name, mail, rcpt] of forms) {
  test(`a stranger cannot relay by ${name}`, async () => {
    for (const door of ['relay', 'submission', 'submissions'] as const)
      for (const isSecure of door === 'submissions' ? [true] : [false, true]) {
        await using client = await stranger(door, isSecure)
        await refusedAll(client, mail, rcpt)
      }
  })
}

test('a stranger cannot relay by 26 a second transaction after RSET', async () => {
  for (const door of ['relay', 'submission', 'submissions'] as const) {
    await using client = await stranger(door, true)
    await refusedAll(client, '<>', `<u@${foreign}>`)
    assert.equal((await client.command('RSET')).code, 250)
    await refusedAll(client, '<>', `<u@${foreign}>`)
  }
})

test('a stranger cannot relay by 26 a failed login', async () => {
  for (const door of ['relay', 'submission', 'submissions'] as const) {
    await using client = await stranger(door, true)
    assert.equal((await client.command(`AUTH PLAIN ${plainToken('apikey', 'guess')}`)).code, 535)
    await refusedAll(client, '<>', `<u@${foreign}>`)
  }
})

test('a stranger cannot relay by 26 a login before STARTTLS', async () => {
  for (const door of ['relay', 'submission'] as const) {
    await using client = await stranger(door, false)
    const { username, secret } = house.login
    assert.match((await client.command(`AUTH PLAIN ${plainToken(username, secret)}`)).text, /^53[08] /)
    await client.startTls()
    await refusedAll(client, '<>', `<u@${foreign}>`)
  }
})

test('a stranger cannot relay by 27 XCLIENT or a PROXY header that claims an address inside', async () => {
  for (const door of ['relay', 'submission', 'submissions'] as const) {
    await using client = await stranger(door, true)
    const { code } = await client.command(`XCLIENT ADDR=${inside} LOGIN=acme`)
    assert.ok(code >= 500, String(code))
    const proxied = await client.command(`PROXY TCP4 ${inside} 127.0.0.1 1000 25`)
    assert.ok(proxied.code >= 500, proxied.text)
    await refusedAll(client, '<>', `<u@${foreign}>`)
  }
})

const v1 = (client: string): string => `PROXY TCP4 ${client} 127.0.0.1 1000 25\r\n`
const v2 = (client: string): Buffer => {
  const addresses = [client, '127.0.0.1'].flatMap(address => address.split('.').map(Number))
  const magic = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  return Buffer.concat([magic, Buffer.from([0x21, 0x11, 0, 12, ...addresses, 0x03, 0xe8, 0, 25])])
}

for (const [version, header] of [
  ['v1', v1],
  ['v2', v2],
] as const)
  test(`a stranger cannot relay by 27 a PROXY header ${version} as the first octets of a connection`, async () => {
    const { length } = house.server.output
    for (const claimed of [inside, '127.0.0.1'])
      for (const [door, isTls] of [
        ['relay', false],
        ['submission', false],
        // Before the handshake, and as the first words inside of TLS.
        ['submissions', false],
        ['submissions', true],
      ] as const) {
        const options = { ...nextStranger(), isTls, before: header(claimed) }
        await using client = await SmtpClient.open(house.ports[door], options)
        for (const line of ['EHLO x', `MAIL FROM:<u@${foreign}>`, `RCPT TO:<u@${foreign}>`, 'DATA', 'QUIT'])
          client.write(`${line}\r\n`)
        for (let reply = await client.replyOrEnd(); reply !== null; reply = await client.replyOrEnd()) {
          // The greeting, what EHLO offers and the farewell.
          const isHarmless = [220, 221].includes(reply.code) || reply.lines.length > 1
          assert.ok(isHarmless || reply.code >= 400, reply.text)
        }
      }
    const told = house.server.output.slice(length)
    for (const claimed of [inside, '127.0.0.1'])
      assert.ok(!told.includes(`"clientAddress":"${claimed}"`), told)
  })

test('a stranger cannot relay by 28 coming from 127.0.0.1', async () => {
  for (const door of ['relay', 'submission', 'submissions'] as const) {
    await using client = await SmtpClient.connect(house.ports[door], { isTls: door === 'submissions' })
    await client.hello('localhost')
    await refusedAll(client, '<>', `<u@${foreign}>`)
  }
})

test('30 VRFY and EXPN tell a stranger nothing', async () => {
  for (const door of ['relay', 'submission', 'submissions'] as const) {
    await using client = await stranger(door, true)
    const known = await client.command('VRFY ann@acme.example')
    const unknown = await client.command('VRFY nobody@nowhere.example')
    assert.equal(known.text, unknown.text)
    assert.ok(!known.text.includes('@'))
    assert.ok((await client.command('EXPN staff')).code >= 500)
  }
})

test('after all of that nothing was accepted and nobody was called', async () => {
  assert.deepEqual(await eventsOf(house.server), [])
  assert.equal(receiver.sessions, 0)
})

test('the same door relays for the network that it names', async () => {
  await using client = await SmtpClient.connect(house.ports.relay, { localAddress: inside })
  await client.hello('inside.example')
  queuedId(await client.send(`u@${foreign}`, `u@${foreign}`, message()))
  await receiver.waitFor(1)
})
