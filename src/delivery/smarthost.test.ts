// A smarthost is not an MX host: that it will not have us, or cannot be found, says nothing of who the mail is for, and a
// connection to it as the one is not used as the other.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Outcome } from '../events/index.ts'
import { makeCertificate } from '../protocol/smtp/client/testing/certificates.ts'
import { ownAddressCheck } from './resolve/index.ts'
import { a, setUp } from './resolve/test-kit.ts'
import { type Route, RouteTable, type Smarthost } from './route.ts'
import { Harness, planOf } from './testing/harness.ts'
import { type ReceiverOptions, startReceiver } from './testing/receiver.ts'

const address = '127.0.0.2'

/** One server: the smarthost of some domains, with what is said of each, and the MX host of `mx.test`. */
async function openStage(receiver: ReceiverOptions, smarthosts: Record<string, Partial<Smarthost>>) {
  const host = await startReceiver({ address, ...receiver })
  const routes: Route[] = Object.entries(smarthosts).map(([recipientDomain, more]) => ({
    recipientDomain,
    smarthost: { host: address, port: host.port, ...more },
  }))
  const harness = new Harness(host.port, {}, { routes: new RouteTable(routes) })
  const key = `${address}:${host.port}`
  harness.plans.set(key, planOf(key, [address, address]))
  harness.plans.set('mx.test', planOf('mx.test', ['mx.mx.test', address]))
  return { host, harness }
}

async function outcomeOf(harness: Harness, to: string): Promise<Outcome> {
  const count = harness.settled.length + 1
  harness.send([to])
  await harness.settledCount(count)
  return harness.settled.at(-1)!.facts.outcome
}

const withLogins: ReceiverOptions = {
  tls: makeCertificate('relay.example'),
  keywords: ['AUTH PLAIN'],
  onAuth: () => '235 2.7.0 Welcome',
}

const login = (username: string): Partial<Smarthost> => ({
  credentials: { username, password: 'open sesame' },
  loginId: username,
})

for (const [where, told, receiver] of [
  ['its greeting', 'greeting relay-denied', { greeting: '554 No SMTP service for you' }],
  ['its greeting, with its reason', 'greeting policy', { greeting: '554 5.7.0 Your account is suspended' }],
  ['its answer to EHLO', 'ehlo policy', { onHello: () => '550 Your address is not allowed' }],
  ['its answer to AUTH', 'auth credentials', { onAuth: () => '535 5.7.8 No such login' }],
] as const)
  test(`a smarthost that will not have us, by ${where}, defers: it says nothing of the recipient`, async () => {
    const { host, harness } = await openStage({ ...withLogins, ...receiver }, { 'b.test': login('shop') })
    await using _host = host
    for (let i = 0; i < 250; i++) harness.send([`to${i}@b.test`])
    await harness.settledCount(250)
    for (const { facts, settlement } of harness.settled) {
      const { kind, stage, category, scope, source, remoteAddress } = facts.outcome
      assert.deepEqual(
        [kind, `${stage} ${category}`, scope, source],
        ['deferred', told, 'configuration', 'reply'],
      )
      assert.equal(remoteAddress, `${address}:${host.port}`)
      assert.equal(settlement.reason, 'site-unreachable')
    }
    assert.match(harness.settled[0]!.facts.outcome.text, /No |account|address/)
    assert.equal(host.connections, 1, 'it is not asked again for each message')
    // The operator has had the account opened again.
    harness.engine.forgetFailures()
    host.change(withLogins)
    assert.equal((await outcomeOf(harness, 'later@b.test')).kind, 'delivered')
    await harness.close()
  })

test('a smarthost whose address has a bad name says so, and the mail waits', async () => {
  const greeting = '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org'
  const { host, harness } = await openStage({ greeting }, { 'b.test': {} })
  await using _host = host
  const { kind, category, scope } = await outcomeOf(harness, 'to@b.test')
  assert.deepEqual([kind, category, scope], ['deferred', 'blocklisted', 'address'])
  await harness.close()
})

test('that a smarthost will not have us is not held against the same server as MX host, which bounces', async () => {
  const { host, harness } = await openStage({ greeting: '554 No SMTP service for you' }, { 'b.test': {} })
  await using _host = host
  const kinds: string[] = []
  for (const to of ['to@b.test', 'to@mx.test', 'to@b.test']) kinds.push((await outcomeOf(harness, to)).kind)
  assert.deepEqual(kinds, ['deferred', 'bounced', 'deferred'])
  assert.equal(host.connections, 2)
  await harness.close()
})

for (const order of [
  ['mx.test', 'b.test'],
  ['b.test', 'mx.test'],
])
  test(`one server is two, for ${order[0]} and then for ${order[1]}: by MX and as a smarthost`, async () => {
    let isOpen = true
    const { host, harness } = await openStage(
      { onRcpt: () => (isOpen ? '250 2.1.5 ok' : '554 5.7.1 Relay access denied') },
      { 'b.test': {} },
    )
    await using _host = host
    assert.equal((await outcomeOf(harness, `to@${order[0]}`)).kind, 'delivered')
    isOpen = false
    const { kind } = await outcomeOf(harness, `to@${order[1]}`)
    assert.equal(kind, order[1] === 'b.test' ? 'deferred' : 'bounced')
    assert.equal(host.connections, 2)
    await harness.close()
  })

test('two logins at one smarthost, and none, have connections of their own', async () => {
  const { host, harness } = await openStage(withLogins, {
    'a.test': login('ann'),
    'b.test': login('bob'),
    'c.test': {},
  })
  await using _host = host
  for (const to of [
    '1@a.test',
    '2@b.test',
    '3@c.test',
    '4@mx.test',
    '5@a.test',
    '6@b.test',
    '7@c.test',
    '8@mx.test',
  ])
    assert.equal((await outcomeOf(harness, to)).kind, 'delivered')
  const connectionOf = new Map(host.messages.map(({ recipients, connection }) => [recipients[0], connection]))
  assert.deepEqual([...connectionOf.values()], [1, 2, 3, 4, 1, 2, 3, 4])
  const logins = host.commands.filter(line => line.startsWith('AUTH')).map(line => line.split(' ')[2]!)
  assert.deepEqual(
    logins.map(one => Buffer.from(one, 'base64').toString().split('\0')[1]),
    ['ann', 'bob'],
  )
  await harness.close()
})

/** A route for all mail to a smarthost of this name, with DNS of the test's own, where we listen at 127.0.0.3. */
async function routeTo(host: string, port: number) {
  const isOwnAddress = ownAddressCheck([{ address: '127.0.0.3', port }], [])
  const dns = await setUp([a('us.test', '127.0.0.3')], { isOwnAddress })
  const routes = new RouteTable([{ recipientDomain: '*', smarthost: { host, port } }])
  return { dns, harness: new Harness(1, {}, { planner: dns.planner, routes }) }
}

for (const [how, name, fault] of [
  ['DNS does not know', 'gone.test', null],
  ['has no address', 'text.test', null],
  ['an ill DNS server denies', 'denied.test', { kind: 'nxdomain' }],
] as const)
  test(`a smarthost that ${how} bounces nothing: the mail waits, and goes once its record is there`, async () => {
    await using mx = await startReceiver({ address })
    const { dns, harness } = await routeTo(name, mx.port)
    await using _dns = dns
    dns.lab.setRecords('text.test', 'TXT', ['no mail here'])
    dns.lab.setFault(name, fault)
    for (let i = 0; i < 20; i++) harness.send([`to${i}@b.test`])
    await harness.settledCount(20)
    for (const { facts, settlement } of harness.settled) {
      const { kind, code, enhancedCode, stage, category, scope, source } = facts.outcome
      assert.deepEqual(
        [kind, `${code} ${enhancedCode}`, `${stage} ${category}`, scope, source],
        ['deferred', '451 4.4.4', 'resolve routing', 'configuration', 'local'],
      )
      assert.equal(settlement.reason, 'next-attempt')
    }
    dns.lab.setFault(name, null)
    dns.lab.setRecords(name, 'A', [address])
    dns.clock.nowMs += 60_000
    harness.advance(60_000)
    assert.equal((await outcomeOf(harness, 'later@b.test')).kind, 'delivered')
    await harness.close()
  })

test('a smarthost whose name has come to be ours makes no round: the mail waits, and nobody is asked', async () => {
  await using us = await startReceiver({ address: '127.0.0.3' })
  const { dns, harness } = await routeTo('us.test', us.port)
  await using _dns = dns
  const { kind, enhancedCode, category, scope } = await outcomeOf(harness, 'to@b.test')
  assert.deepEqual([kind, enhancedCode, category, scope], ['deferred', '4.4.6', 'loop', 'configuration'])
  assert.equal(us.connections, 0)
  await using other = await startReceiver({ address, port: us.port })
  dns.lab.setRecords('us.test', 'A', [address])
  dns.clock.nowMs += 600_000
  harness.advance(600_000)
  assert.equal((await outcomeOf(harness, 'later@b.test')).kind, 'delivered')
  assert.equal(other.messages.length, 1)
  await harness.close()
})
