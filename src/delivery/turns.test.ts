// What a long queue hands out in a turn of the event loop: no more than leaves it free, and no connection is lost by that.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryOptions } from './options.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

/** An engine whose clock goes on by `stepMs` at each look. */
class Stepping {
  stepMs = 0
  readonly harness: Harness

  constructor(port: number, options: Partial<DeliveryOptions>) {
    const harness: Harness = new Harness(port, options, {
      clock: {
        nowMs: () => harness.nowMs,
        monotonicMs: () => (harness.monotonicMs += this.stepMs),
      },
    })
    this.harness = harness
  }
}

test('what comes from the store is handed out as a turn allows, what has just come in at once', async () => {
  await using receiver = await startReceiver()
  const stepping = new Stepping(receiver.port, { connectionsPerHost: 100 })
  const { harness } = stepping
  const domains = Array.from({ length: 41 }, (_, index) => `d${index}.test`)
  for (const domain of domains) {
    harness.plans.set(domain, planOf(domain, [`mx.${domain}`, '127.0.0.1']))
    harness.send([`to@${domain}`])
  }
  await harness.settledCount(41)
  assert.equal(receiver.connections, 41)
  stepping.stepMs = 0.5
  const [last, ...others] = domains.toReversed()
  for (const domain of others) harness.send([`to@${domain}`], { isStored: true })
  const { batchesInFlight } = harness.engine.gauges()
  assert.ok(batchesInFlight >= 1 && batchesInFlight <= 8, `${batchesInFlight} of 40 at once`)
  harness.send([`to@${last}`])
  assert.equal(harness.engine.gauges().batchesInFlight, batchesInFlight + 1, 'the one that has just come in')
  await harness.settledCount(82)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  assert.equal(receiver.connections, 41, 'each has kept its connection')
  await harness.close()
})

test('next hops that share the one connection of a host all come to their end, in turns of one message', async () => {
  await using receiver = await startReceiver()
  const stepping = new Stepping(receiver.port, { connectionsPerHost: 1 })
  const { harness } = stepping
  const domains = Array.from({ length: 10 }, (_, index) => `d${index}.test`)
  for (const domain of domains) harness.plans.set(domain, planOf(domain, [`mx.${domain}`, '127.0.0.1']))
  stepping.stepMs = 4
  for (let round = 0; round < 5; round++)
    for (const domain of domains) harness.send([`to@${domain}`], { isStored: true })
  await harness.settledCount(50)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  await harness.close()
  assert.equal(harness.room.recipients, 0)
})

test('next hops of one site with one slot all come to their end, in turns of one message', async () => {
  await using receiver = await startReceiver()
  const stepping = new Stepping(receiver.port, { connectionsPerSite: 1 })
  const { harness } = stepping
  const domains = Array.from({ length: 10 }, (_, index) => `d${index}.test`)
  for (const [index, domain] of domains.entries())
    harness.plans.set(domain, { ...planOf(domain, [`mx${index}.one.test`, '127.0.0.1']), site: 'one.test' })
  stepping.stepMs = 4
  for (let round = 0; round < 5; round++)
    for (const domain of domains) harness.send([`to@${domain}`], { isStored: true })
  await harness.settledCount(50)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  await harness.close()
})

test('connections kept for what goes another way are offered to those of their site who wait, each once', async () => {
  await using receiver = await startReceiver()
  await using other = await startReceiver({ address: '127.0.0.2', port: receiver.port })
  const stepping = new Stepping(receiver.port, { connectionsPerSite: 3, backlogPerConnection: 1 })
  const { harness } = stepping
  const site = 'one.test'
  for (const name of ['h', 'w1', 'w2'])
    harness.plans.set(`${name}.test`, {
      ...planOf(`${name}.test`, [`mx-${name}.one.test`, '127.0.0.1']),
      site,
    })
  harness.plans.set('x.test', planOf('x.test', ['mx.x.test', '127.0.0.2']))
  let sent = 1
  harness.send(['to@x.test'])
  const used = (): number => new Set(receiver.messages.map(one => one.connection)).size
  while (used() < 3) {
    for (let i = 0; i < 9; i++) harness.send(['to@h.test'])
    sent += 9
    await harness.settledCount(sent)
  }
  stepping.stepMs = 4
  // Takes the time of this turn, so that the next one has to wait for another, with three connections that are kept.
  harness.send(['to@x.test'], { isStored: true })
  harness.send(['to@h.test'], { isStored: true })
  for (let i = 0; i < 6; i++) for (const name of ['w1', 'w2']) harness.send([`to@${name}.test`])
  assert.equal(harness.engine.gauges().batchesInFlight, 1, 'all three connections are kept')
  await harness.settledCount(sent + 14)
  assert.equal(harness.settled.length, sent + 14, 'each once')
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  assert.ok(harness.engine.gauges().connections <= 4)
  stepping.stepMs = 0
  for (let i = 0; i < 20; i++) harness.advance(10_000)
  const { connections, nextHops } = harness.engine.gauges()
  assert.deepEqual([connections, nextHops], [0, 0], 'nothing is left of them')
  assert.equal(other.connections, 1)
  await harness.close()
})

test('of two senders at one host neither waits for the other, in turns of one message', async () => {
  await using receiver = await startReceiver()
  const stepping = new Stepping(receiver.port, { connectionsPerHost: 1, backlogPerConnection: 100 })
  const { harness } = stepping
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  stepping.stepMs = 4
  for (const accountKey of [1, 2])
    for (let i = 0; i < 20; i++)
      harness.send([`to${accountKey}@b.test`], { isStored: true, accountKey, streamKey: accountKey })
  await harness.settledCount(41)
  const order = receiver.messages.slice(1).map(({ recipients }) => (recipients[0]!.includes('to1@') ? 1 : -1))
  let lead = 0
  for (const of of order) {
    lead += of
    assert.ok(Math.abs(lead) <= 2, order.join(' '))
  }
  await harness.close()
})
