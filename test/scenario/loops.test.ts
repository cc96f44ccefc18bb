// Situation: mail that would go round in circles, by its own trace, by DNS or by a smarthost that hands it back.
//
// The relay door stands on 127.0.0.1 at the very port that MX hosts are called at, so that an MX on 127.0.0.1 is
// ourselves; 127.0.0.2 at the same port is somebody else.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type LabDns, startLabDns } from '../../src/lab/index.ts'
import { Hosts } from '../interop/support/hosts.ts'
import { freePort } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { House, message, type ShownEvent, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let dns: LabDns
let house: House
let other: Receiver

const mx = (name: string, preference: number, exchange: string) =>
  ({ name, type: 'MX', data: { preference, exchange } }) as const

before(async () => {
  dns = await startLabDns({
    zones: [
      {
        name: 'example',
        records: [
          { name: 'us.example', type: 'A', data: '127.0.0.1' },
          { name: 'other.example', type: 'A', data: '127.0.0.2' },
          { name: 'implicit.example', type: 'A', data: '127.0.0.1' },
          { name: 'outside.example', type: 'A', data: '127.0.0.3' },
          mx('behind-nat.example', 10, 'outside.example'),
          mx('only-us.example', 10, 'us.example'),
          mx('us-first.example', 10, 'us.example'),
          mx('us-first.example', 20, 'other.example'),
          mx('us-last.example', 10, 'other.example'),
          mx('us-last.example', 20, 'us.example'),
        ],
      },
    ],
  })
  house = await House.open(`[dns]\nservers = ["127.0.0.1:${dns.port}"]\n`, {
    relay: 'networks = ["127.0.0.0/8"]\naccount = "acme"\nsenders = "any"',
    tail: ports => `[delivery]\nport = ${ports.relay}\nallow_private = ["127.0.0.0/8"]\n`,
  })
  other = await Receiver.start({ host: '127.0.0.2', port: house.ports.relay })
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await dns.close()
})

const received = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `Received: from hop${at}.example by hop${at + 1}.example; ${date}`)
const date = 'Mon, 23 Nov 2026 10:00:00 +0000'

async function outcomeAt(domain: string, type: string): Promise<ShownEvent> {
  await using client = await house.client()
  const id = queuedId(await client.send('ann@acme.example', `u@${domain}`, message()))
  const events = await waitForAll(house.server, [id], type)
  return events.find(event => event.messageId === id && event.type === type)!
}

test('fifty Received fields pass and fifty-one are refused as a loop', async () => {
  await using client = await house.client()
  const send = (count: number) =>
    client.send('ann@acme.example', 'u@us-last.example', `${received(count).join('\r\n')}\r\n${message()}`)
  queuedId(await send(50))
  const reply = await send(51)
  assert.match(reply.text, /^554 5\.4\.6 /)
  assert.match(reply.text, /51 Received/)
})

const ownReceived =
  'Received: from app.example by relay.example with ESMTPSA id msg_aaaaaaaaaaaaaaaaaaaaaaaaaa'
for (const [name, field] of [
  ['of our own', `${ownReceived}; ${date}`],
  ['in capitals', `RECEIVED: by hop.example; ${date}`],
  ['with a blank before the colon', `Received : by hop.example; ${date}`],
  ['folded at once', `Received:\r\n\tby hop.example;\r\n ${date}`],
  ['with nothing in them', 'Received:'],
] as const)
  test(`fifty-one Received fields ${name} are a loop, by DATA and by BDAT, and fifty are none`, async () => {
    await using client = await house.client()
    const content = (count: number) => `${`${field}\r\n`.repeat(count)}${message()}`
    const send = (count: number) => client.send('ann@acme.example', 'u@us-last.example', content(count))
    queuedId(await send(50))
    assert.match((await send(51)).text, /^554 5\.4\.6 .*51 Received/)
    const bytes = Buffer.from(`${content(51)}\r\n`)
    const chunked = await client.sendChunks('ann@acme.example', 'u@us-last.example', bytes, { chunks: 7 })
    assert.match(chunked.text, /^554 5\.4\.6 /)
  })

test('Received fields of a message inside the message, or in its text, count for nothing', async () => {
  await using client = await house.client()
  const inside = `${received(60).join('\r\n')}\r\n${message()}`
  const attached = ['MIME-Version: 1.0', 'Content-Type: message/rfc822']
  queuedId(await client.send('ann@acme.example', 'u@us-last.example', message(attached, inside)))
  queuedId(await client.send('ann@acme.example', 'u@us-last.example', message([], inside)))
})

test('a domain whose only MX is our own address and port is bounced at once', async () => {
  for (const domain of ['only-us.example', 'us-first.example', 'implicit.example']) {
    const { outcome } = await outcomeAt(domain, 'bounced')
    assert.equal(outcome?.enhancedCode, '5.4.6', domain)
    assert.equal(outcome?.source, 'local', domain)
    assert.equal(outcome?.scope, 'domain', domain)
  }
})

test('an MX before ours is used, and another address at our port is not ourselves', async () => {
  const { outcome } = await outcomeAt('us-last.example', 'delivered')
  assert.equal(outcome?.remoteAddress, `127.0.0.2:${house.ports.relay}`)
})

test('an MX that is ourselves under an address that we cannot know, as behind NAT, is bounced at the first greeting', async () => {
  await using _router = await Hosts.start({
    addresses: ['127.0.0.3'],
    port: house.ports.relay,
    to: { address: '127.0.0.1', port: house.ports.relay },
  })
  const to = 'u@behind-nat.example'
  const { outcome } = await outcomeAt('behind-nat.example', 'bounced')
  assert.deepEqual(
    [outcome?.code, outcome?.enhancedCode, outcome?.source, outcome?.category],
    [554, '5.4.6', 'local', 'loop'],
  )
  const events = await waitForEvents(house.server, () => true)
  const accepted = events.filter(one => one.type === 'accepted' && one.forwardPaths?.includes(to) === true)
  assert.equal(accepted.length, 1, 'no round was made')
})

test('a smarthost that hands everything back to us ends in 5.4.6 and not in an endless circle', async () => {
  let handedBack = 0
  // As a server that delivers locally and forwards does. It tells such a server of a loop, and tells us nothing.
  const added = 'Delivered-To: u@there.example\r\n'
  await using mirror = await Receiver.start({
    endOfData: async ({ from, to, content }) => {
      handedBack++
      await using back = await SmtpClient.connect(circle.ports.relay)
      await back.hello('mirror.example')
      const reply = await back.send(from, to, added + content.toString('latin1').replace(/\r\n$/, ''))
      return reply.text
    },
  })
  await using circle = await House.open(mirror.route, {
    relay: 'networks = ["127.0.0.0/8"]\naccount = "acme"\nsenders = "any"',
  })
  await using client = await circle.client()
  queuedId(await client.send('ann@acme.example', 'u@there.example', message()))
  const events = await waitForEvents(circle.server, all => all.some(event => event.type === 'bounced'))
  const bounced = events.filter(event => event.type === 'bounced')
  assert.deepEqual(
    bounced.map(({ outcome }) => [outcome?.code, outcome?.enhancedCode, outcome?.source]),
    [[554, '5.4.6', 'reply']],
  )
  assert.equal(handedBack, 51)
  assert.equal(mirror.messages.length, 50)
  const last = mirror.messages.at(-1)!.content.toString('latin1')
  assert.equal(last.match(/^Delivered-To: u@there\.example\r$/gm)?.length, 49)
})

test('Delivered-To with the very recipient, and other marks of loops, are fields like any other and pass unchanged', async () => {
  await using client = await house.client()
  const to = 'u@us-last.example'
  const fields = [
    `Delivered-To: ${to}`,
    `Delivered-To: ${to}`,
    'X-Loop: relay.example',
    `X-Original-To: ${to}`,
  ]
  const id = queuedId(await client.send('ann@acme.example', to, `${fields.join('\r\n')}\r\n${message()}`))
  await waitForAll(house.server, [id], 'delivered')
  const arrived = other.messages.find(one => one.content.includes(id))!
  assert.ok(arrived.content.includes(`\r\n${fields.join('\r\n')}\r\nFrom: `))
})

test('a smarthost that leads back to our own door, by an address of somebody else, is found out at the first greeting: the mail waits', async () => {
  const port = await freePort()
  await using circle = await House.open(
    `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.2:${port}"\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\nsenders = "any"\n`,
  )
  await using _router = await Hosts.start({
    addresses: ['127.0.0.2'],
    port,
    to: { address: '127.0.0.1', port },
  })
  await using client = await circle.client()
  const id = queuedId(await client.send('ann@acme.example', 'u@there.example', message()))
  const events = await waitForAll(circle.server, [id], 'deferred')
  const { outcome } = events.find(event => event.type === 'deferred')!
  assert.deepEqual(
    [
      outcome?.code,
      outcome?.enhancedCode,
      outcome?.source,
      outcome?.category,
      outcome?.stage,
      outcome?.scope,
    ],
    [451, '4.4.6', 'local', 'loop', 'greeting', 'configuration'],
  )
  assert.match(outcome?.text ?? '', /loops back to us/)
  assert.deepEqual(
    events.filter(event => event.type === 'accepted').map(event => event.messageId),
    [id],
    'no round was made',
  )
})

test('a smarthost that shares our name gets its mail: another server is no loop', async () => {
  await using namesake = await Receiver.start({ greeting: '220 relay.example ESMTP' })
  await using twin = await House.open(namesake.route)
  await using client = await twin.client()
  const id = queuedId(await client.send('ann@acme.example', 'u@there.example', message()))
  await waitForAll(twin.server, [id], 'delivered')
  assert.equal(namesake.messages.length, 1)
})

test('a smarthost that is our own door is never called: the mail waits for another one', async () => {
  const port = await freePort()
  await using circle = await House.open(
    `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.1:${port}"\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\nsenders = "any"\n`,
  )
  await using client = await circle.client()
  const id = queuedId(await client.send('ann@acme.example', 'u@there.example', message()))
  const events = await waitForAll(circle.server, [id], 'deferred')
  const { outcome } = events.find(event => event.type === 'deferred')!
  assert.deepEqual(
    [outcome?.enhancedCode, outcome?.category, outcome?.stage, outcome?.scope],
    ['4.4.6', 'loop', 'resolve', 'configuration'],
  )
  assert.equal(events.filter(event => event.type === 'accepted').length, 1, 'no round was made')
  await using right = await Receiver.start()
  await circle.server.json('queue', 'reroute', id, '--smarthost', `127.0.0.1:${right.port}`)
  await waitForAll(circle.server, [id], 'delivered')
})
