// How many connections a next hop opens, and how often it asks for one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionOpener, SessionResult } from './connection.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const lookupsMax = 2000

test('an opening that comes to naught at once is not tried again in the same breath', async () => {
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onEnd: async () => {
      await new Promise(resolve => setTimeout(resolve, 5))
      return '250 ok'
    },
  })
  let lookups = 0
  const plan = planOf('b.test', ['mx1.b.test', '127.0.0.2'])
  const cached = () => {
    // Each opening looks the hosts up. Without an end the event loop would never turn again, so it is ended here.
    if (++lookups > lookupsMax) throw new Error('hosts are looked up without end')
    return plan
  }
  const planner = {
    cached,
    plan: async () => plan,
    cachedSmarthost: () => undefined,
    planSmarthost: async () => plan,
  }
  // More slots at the site than connections at its one host: the third opening finds the host busy.
  const limits = {
    connectionsPerSite: 3,
    connectionsPerHost: 2,
    backlogPerConnection: 1,
    transactionsPerConnection: 1,
  }
  const harness = new Harness(mx.port, limits, { planner })
  for (let i = 0; i < 40; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(40)
  assert.equal(mx.messages.length, 40)
  assert.ok(lookups < lookupsMax)
  assert.ok(mx.connections <= 2)
  await harness.close()
})

test('when all connections are taken, the one that has been idle longest makes room for a host that has none', async () => {
  await using first = await startReceiver({ address: '127.0.0.2' })
  const { port } = first
  await using second = await startReceiver({ address: '127.0.0.3', port })
  await using third = await startReceiver({ address: '127.0.0.4', port })
  const harness = new Harness(port, { connectionsTotal: 2 })
  for (const number of [2, 3, 4])
    harness.plans.set(
      `d${number}.test`,
      planOf(`d${number}.test`, [`mx.d${number}.test`, `127.0.0.${number}`]),
    )
  harness.send(['a@d2.test'])
  await harness.settledCount(1)
  harness.advance(10)
  harness.send(['b@d3.test'])
  await harness.settledCount(2)
  // Time stands still: nobody is idle for long enough to be closed for that.
  harness.send(['c@d4.test'])
  await harness.settledCount(3)
  assert.equal(third.messages.length, 1)
  assert.equal(harness.engine.gauges().connections, 2)
  harness.send(['d@d3.test'])
  await harness.settledCount(4)
  assert.deepEqual([first.connections, second.connections], [1, 1], 'the younger one was kept')
  await harness.close()
})

test('connections that are being opened have a place, too, and each place that frees goes to the next in line', async () => {
  const failure = {
    stage: 'connect',
    kind: 'error',
    code: 'ECONNREFUSED',
    message: 'refused',
    reply: null,
    tls: null,
  } as const
  const underWay: (() => void)[] = []
  let most = 0
  const openSession: SessionOpener = () => {
    const { promise, resolve } = Promise.withResolvers<SessionResult>()
    underWay.push(() => resolve({ ok: false, failure }))
    most = Math.max(most, underWay.length)
    return promise
  }
  const harness = new Harness(25, { connectionsTotal: 2 }, { openSession })
  for (let number = 1; number <= 50; number++) {
    const domain = `d${number}.test`
    harness.plans.set(domain, planOf(domain, [`mx.${domain}`, `127.0.0.${number}`]))
    harness.send([`to@${domain}`])
  }
  assert.equal(underWay.length, 2)
  // Time stands still: whoever waits for a tick waits for ever.
  for (let turn = 0; turn < 100 && harness.settled.length < 50; turn++) {
    underWay.shift()?.()
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.equal(harness.settled.length, 50)
  assert.equal(most, 2)
  await harness.close()
})

test('when all places are taken, a connection that has done its work makes room for who waits', async () => {
  await using mx = await startReceiver({ address: '0.0.0.0' })
  const harness = new Harness(mx.port, { connectionsTotal: 2 })
  for (let number = 1; number <= 20; number++) {
    const domain = `d${number}.test`
    harness.plans.set(domain, planOf(domain, [`mx.${domain}`, `127.0.1.${number}`]))
    for (let i = 0; i < 3; i++) harness.send([`to${i}@${domain}`])
  }
  await harness.settledCount(60)
  assert.equal(mx.messages.length, 60)
  assert.equal(mx.connections, 20)
  await harness.close()
})

test('many sites at one full host share its connections without waiting for the next tick', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2' })
  // Time stands still in the harness: whoever waits for a tick waits for ever.
  const harness = new Harness(mx.port, { connectionsPerHost: 2, messagesPerConnection: 3 })
  const domains = Array.from({ length: 20 }, (_, index) => `c${index}.test`)
  for (const domain of domains) harness.plans.set(domain, planOf(domain, [`mx.${domain}`, '127.0.0.2']))
  for (const turn of [1, 2, 3, 4, 5]) for (const domain of domains) harness.send([`to${turn}@${domain}`])
  await harness.settledCount(100)
  assert.equal(mx.messages.length, 100)
  assert.ok(mx.connections <= 50, `${mx.connections} connections for 100 messages`)
  await harness.close()
})

test('two hundred that wait for one full host do not all look for it each second, and look again after a while', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ address: '127.0.0.2', onEnd: () => held })
  const harness = new Harness(mx.port, { connectionsPerHost: 2 })
  let lookups = 0
  const { get } = harness.plans
  harness.plans.get = domain => {
    lookups++
    return get.call(harness.plans, domain)
  }
  for (let index = 0; index < 200; index++) {
    const domain = `d${index}.test`
    harness.plans.set(domain, planOf(domain, [`mx.${domain}`, '127.0.0.2']))
    harness.send([`to@${domain}`])
  }
  while (harness.marksWritten < 2) await new Promise(resolve => setImmediate(resolve))
  const lookupsAfter = async (ms: number) => {
    lookups = 0
    harness.advance(ms)
    await new Promise(resolve => setImmediate(resolve))
    return lookups
  }
  await lookupsAfter(1_000)
  const soon = await lookupsAfter(1_000)
  assert.ok(soon <= 10, `${soon} lookups`)
  const late = await lookupsAfter(11_000)
  assert.ok(late >= 190, `${late} lookups`)
  release('250 2.0.0 ok')
  await harness.settledCount(200)
  assert.equal(mx.messages.length, 200)
  await harness.close()
})
