// A host that takes a connection and then falls silent or drops it: it failed, whatever it did before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness, planOf } from './testing/harness.ts'
import { type Receiver, startReceiver } from './testing/receiver.ts'

const first = ['mx1.b.test', '127.0.0.2'] as const
const second = ['mx2.b.test', '127.0.0.3'] as const

/** Lets the turn go on until the receiver has read so many MAIL, then lets the time for an answer pass. */
async function waitInVain(harness: Harness, mx: Receiver, mails: number): Promise<void> {
  const isAsked = () => mx.commands.filter(line => line.startsWith('MAIL')).length >= mails
  while (!isAsked()) await new Promise(resolve => setImmediate(resolve))
  harness.advance(1)
  harness.advance(51)
}

test('a host that is silent at MAIL has failed: the other MX gets the message in the same attempt', async () => {
  await using one = await startReceiver({ address: first[1], onMail: () => 'silence' })
  await using two = await startReceiver({ address: second[1], port: one.port })
  const harness = new Harness(one.port, { timeouts: { mailMs: 50 } })
  harness.plans.set('b.test', planOf('b.test', first, second))
  harness.send(['to@b.test'])
  await waitInVain(harness, one, 1)
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test delivered'])
  assert.equal(harness.settled[0]!.facts.attempt, 1)
  assert.equal(two.messages.length, 1)
  harness.send(['next@b.test'])
  await harness.settledCount(2)
  assert.equal(one.connections, 1, 'it is left alone for a while')
  await harness.close()
})

test('what waits for a host that is silent at MAIL is deferred with it, after few connections', async () => {
  await using mx = await startReceiver({ address: first[1], onMail: () => 'silence' })
  const harness = new Harness(mx.port, { timeouts: { mailMs: 50 } })
  harness.plans.set('b.test', planOf('b.test', first))
  for (let i = 0; i < 50; i++) harness.send([`to${i}@b.test`])
  await waitInVain(harness, mx, 1)
  // Each tick may open one more while something waits.
  for (let turn = 0; turn < 50 && harness.settled.length < 50; turn++) {
    await new Promise(resolve => setTimeout(resolve, 5))
    harness.advance(51)
  }
  assert.equal(harness.settled.length, 50)
  assert.ok(mx.connections <= 4, `${mx.connections} connections`)
  for (const { facts } of harness.settled) {
    assert.equal(facts.outcome.kind, 'deferred')
    assert.equal(facts.outcome.category, 'timeout')
  }
  await harness.close()
})

test('a host that answered before and is silent now gets another connection, then the other MX its mail', async () => {
  await using one = await startReceiver({ address: first[1] })
  await using two = await startReceiver({ address: second[1], port: one.port })
  const harness = new Harness(one.port, { timeouts: { mailMs: 50 } })
  harness.plans.set('b.test', planOf('b.test', first, second))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  one.change({ onMail: () => 'silence' })
  harness.send(['next@b.test'])
  await waitInVain(harness, one, 2)
  await waitInVain(harness, one, 3)
  await harness.settledCount(2)
  assert.deepEqual([one.messages.length, two.messages.length], [1, 1])
  assert.equal(harness.settled[1]!.facts.attempt, 1)
  await harness.close()
})

test('a host that lets us wait keeps a quarter of the room; the rest goes back, and no attempt is counted', async () => {
  await using mx = await startReceiver({ address: first[1], onMail: () => 'silence' })
  const harness = new Harness(mx.port, { readyRecipientsMax: 40 })
  harness.plans.set('b.test', planOf('b.test', first))
  harness.send(['code@b.test'], { priority: 0 })
  for (let i = 0; i < 30; i++) harness.send([`to${i}@b.test`], { priority: 9 })
  while (!mx.commands.some(line => line.startsWith('MAIL')))
    await new Promise(resolve => setImmediate(resolve))
  harness.advance(14_000)
  assert.equal(harness.givenBack.length, 0)
  harness.advance(2_000)
  assert.ok(harness.room.recipients <= 10 + 6, `${harness.room.recipients} are in hand`)
  assert.equal(harness.givenBack.length + harness.room.recipients, 31)
  for (const { reason, nextAttemptAtMs } of harness.givenBack) {
    assert.equal(reason, 'site-unreachable')
    assert.ok(nextAttemptAtMs >= harness.nowMs + 300_000)
  }
  assert.equal(harness.settled.length, 0)
  await harness.engine.drain(AbortSignal.abort())
})

/** Two hosts, of which the first is silent at MAIL and got the content with it: the first message has run into that. */
async function silentBehindContent(
  owned: AsyncDisposableStack,
): Promise<{ readonly one: Receiver; readonly two: Receiver; readonly harness: Harness }> {
  const keywords = ['PIPELINING', '8BITMIME', 'SIZE', 'CHUNKING']
  const one = owned.use(await startReceiver({ address: first[1], keywords, onMail: () => 'silence' }))
  const two = owned.use(await startReceiver({ address: second[1], port: one.port }))
  const harness = new Harness(one.port, { timeouts: { mailMs: 50 } })
  harness.plans.set('b.test', planOf('b.test', first, second))
  harness.send(['to@b.test'])
  await waitInVain(harness, one, 1)
  await harness.settledCount(1)
  return { one, two, harness }
}

test('so has one that is silent when the content left together with MAIL: nobody else runs into it', async () => {
  await using hosts = new AsyncDisposableStack()
  const { one, two, harness } = await silentBehindContent(hosts)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.isUncertain, outcome.category], ['deferred', true, 'timeout'])
  harness.send(['next@b.test'])
  await harness.settledCount(2)
  assert.deepEqual([one.connections, two.messages.length], [1, 1])
  await harness.close()
})

test('to a host on trial no content leaves before it has answered, so that the other MX may get it', async () => {
  await using hosts = new AsyncDisposableStack()
  const { one, two, harness } = await silentBehindContent(hosts)
  // The back-off is over, and the retry goes to the first host again.
  harness.advance(60_000)
  harness.send([{ forwardPath: 'to@b.test', attempts: 1 }])
  await waitInVain(harness, one, 2)
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred', 'to@b.test delivered'])
  assert.equal(harness.settled[1]!.facts.outcome.isUncertain, false)
  assert.deepEqual([one.connections, two.messages.length], [2, 1])
  await harness.close()
})
