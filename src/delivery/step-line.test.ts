// A relay thread stays free while the queue of a site that is down fails, or is tried again, however many next hops it has.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { StepLine } from './step-line.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

/** A port of which nobody takes connections. */
async function closedPort(): Promise<number> {
  await using gone = await startReceiver()
  return gone.port
}

test('of a thousand next hops whose one address failed, each turn ends what 3 ms allow', async () => {
  const harness: Harness = new Harness(
    await closedPort(),
    {},
    { clock: { nowMs: () => harness.nowMs, monotonicMs: () => (harness.monotonicMs += 0.02) } },
  )
  for (let index = 0; index <= 1_000; index++)
    harness.plans.set(`c${index}.test`, planOf(`c${index}.test`, [`mx.c${index}.test`, '127.0.0.1']))
  harness.send(['to@c1000.test'])
  await harness.settledCount(1)
  const settledInTurn = async (): Promise<number> => {
    const before = harness.settled.length
    await new Promise(resolve => setImmediate(resolve))
    return harness.settled.length - before
  }
  for (const known of [false, true]) {
    for (let index = 0; index < 1_000; index++) harness.send([`to@c${index}.test`])
    let most = 0
    let left = 1_000
    while (left > 0) {
      const settled = await settledInTurn()
      most = Math.max(most, settled)
      left -= settled
    }
    assert.ok(most <= 200, `${most} in one turn, next hops that are ${known ? 'known to fail' : 'new'}`)
  }
  assert.deepEqual(new Set(harness.settled.map(({ facts }) => facts.outcome.kind)), new Set(['deferred']))
  await harness.close()
})

test('of a thousand next hops that an operator has tried again, each turn dials what 3 ms allow', async () => {
  let dialled = 0
  const harness: Harness = new Harness(
    await closedPort(),
    { connectionsTotal: 2_000, hostBackoffMs: 60_000 },
    {
      clock: { nowMs: () => harness.nowMs, monotonicMs: () => (harness.monotonicMs += 0.02) },
      connect: (host, port, _, onread) => {
        dialled++
        return connect({ host, port, onread })
      },
    },
  )
  const sendAll = (): void => {
    for (let index = 0; index < 1_000; index++) harness.send([`to@c${index}.test`])
  }
  for (let index = 0; index < 1_000; index++) {
    const address = `127.1.${index >> 8}.${index & 0xff}`
    harness.plans.set(`c${index}.test`, planOf(`c${index}.test`, [`mx.c${index}.test`, address]))
  }
  sendAll()
  await harness.settledCount(1_000)
  const before = dialled
  sendAll()
  await new Promise(resolve => setImmediate(resolve))
  // All of them have learnt by now that their address failed, and most have not ended what waits.
  const waited = 2_000 - harness.settled.length
  assert.ok(waited >= 700 && dialled === before, `${waited} wait`)
  harness.engine.forgetFailures()
  let most = dialled - before
  while (harness.settled.length < 2_000) {
    const upTo = dialled
    await new Promise(resolve => setImmediate(resolve))
    most = Math.max(most, dialled - upTo)
  }
  assert.ok(dialled > before && most <= 200, `${most} in one turn, of ${dialled - before}`)
  await harness.close()
})

test('what waited when the hosts failed ends, also where they may be tried again at once and more comes in each turn', async () => {
  // The one that says never is not left alone for a time, and the other one makes that a deferral.
  await using never = await startReceiver({ address: '127.0.0.2', greeting: '554 no' })
  await using later = await startReceiver({ address: '127.0.0.3', port: never.port, greeting: '421 busy' })
  const harness = new Harness(never.port)
  harness.plans.set('b.test', planOf('b.test', ['mx1.b.test', '127.0.0.2'], ['mx2.b.test', '127.0.0.3']))
  while (harness.settled.length < 1 && never.connections < 5) {
    harness.send(['to@b.test'])
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(harness.settled.length > 0, `${never.connections} openings, and nothing has ended`)
  assert.equal(later.connections, 1)
  await harness.close()
  assert.equal(harness.room.recipients, 0)
})

test('what was taken out of a next hop that fails is not owed by what comes later', async () => {
  const port = await closedPort()
  const harness = new Harness(port, { hostBackoffMs: 1_000 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) harness.send(['to@b.test'])
  }
  send(350)
  while (harness.settled.length === 0) await new Promise(resolve => setImmediate(resolve))
  assert.equal(harness.settled.length, 100, 'the first step')
  const recalled = await harness.engine.recall()
  assert.equal(recalled.length, 250)
  // As many as a step ends.
  send(100)
  await harness.settledCount(200)
  await using receiver = await startReceiver({ port })
  harness.advance(1_500)
  send(1)
  await harness.settledCount(201)
  assert.equal(harness.settled.at(-1)!.facts.outcome.kind, 'delivered')
  assert.equal(receiver.connections, 1)
  await harness.close()
})

test('a next hop that goes on failing is not made anew at each retry', async () => {
  const harness = new Harness(await closedPort())
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  const fail = async (): Promise<void> => {
    const count = harness.settled.length + 1
    harness.send(['to@b.test'])
    await harness.settledCount(count)
  }
  await fail()
  harness.advance(4_000)
  harness.advance(2_000)
  await fail()
  // Swept, as every five seconds.
  harness.advance(3_000)
  assert.equal(harness.engine.gauges().nextHops, 1)
  harness.advance(5_000)
  assert.equal(harness.engine.gauges().nextHops, 0)
  await harness.close()
})

test('who asks for a step during its own has it in the next turn, behind the others', async () => {
  const steps: string[] = []
  const line = new StepLine({ monotonicMs: () => 0 })
  const once = { step: () => void steps.push('once') }
  const again = {
    step: () => {
      steps.push('again')
      if (steps.length < 4) line.add(again)
    },
  }
  line.add(again)
  line.add(again)
  line.add(once)
  assert.deepEqual(steps, [])
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(steps, ['again', 'once'])
  await new Promise(resolve => setImmediate(resolve))
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(steps, ['again', 'once', 'again', 'again'])
})
