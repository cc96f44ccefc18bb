// Domains that share a next hop: the latest word of DNS counts for all of them, and what may not be used any more is not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultDeliveryOptions } from './options.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

test('a next hop that two domains share goes to the addresses of the latest plan of either', async () => {
  await using former = await startReceiver({ address: '127.0.0.2' })
  await using present = await startReceiver({ address: '127.0.0.3', port: former.port })
  const harness = new Harness(former.port)
  harness.plans.set('a.test', planOf('a.test', ['mx.shared.test', '127.0.0.2']))
  harness.send(['to@a.test'])
  await harness.settledCount(1)
  harness.advance(6_000)
  harness.plans.delete('a.test')
  harness.plans.set('b.test', planOf('b.test', ['mx.shared.test', '127.0.0.3']))
  harness.send(['to@b.test'])
  await harness.settledCount(2)
  assert.equal(harness.engine.gauges().nextHops, 1)
  assert.deepEqual([former.messages.length, present.messages.length], [1, 1])
  await harness.close()
})

test('after new options what waits for a connection is asked for anew, and goes nowhere by an old plan', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ address: '127.0.0.2', onEnd: () => held })
  const limits = { connectionsPerSite: 1, messagesPerConnection: 1, transactionsPerConnection: 1 }
  const harness = new Harness(mx.port, limits)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.2']))
  for (let i = 0; i < 250; i++) harness.send([`to${i}@b.test`, `copy${i}@b.test`])
  while (harness.marksWritten === 0) await new Promise(resolve => setImmediate(resolve))
  harness.plans.delete('b.test')
  harness.engine.setOptions({
    ...defaultDeliveryOptions,
    ...limits,
    source: { name: 'main', ehloName: 'relay.test', ipv4: '', ipv6: '' },
    mxPort: mx.port,
    retry: { intervalsMs: [60_000] },
  })
  release('250 2.0.0 ok')
  await harness.settledCount(500)
  assert.equal(mx.messages.length, 1)
  assert.equal(harness.settled.filter(({ facts }) => facts.outcome.stage === 'resolve').length, 498)
  await harness.close()
  assert.equal(harness.room.recipients, 0)
})
