// Short simulated histories: a few hours each, always the same ones. Long ones: `npm run simulate`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readArguments } from './options.ts'
import { simulate } from './simulation.ts'
import { VirtualTime } from './virtual-time.ts'

for (const [seed, hours] of [
  [3, 4],
  [11, 3],
] as const)
  test(`in ${hours} simulated hours (seed ${seed}) no rule of the queue is broken`, async () => {
    const { counts, faults, judged } = await simulate({ seed, hours })
    // A history in which nothing happens proves nothing.
    assert.ok(
      counts['delivered']! > 300 && counts['deferred']! > 100 && counts['bounced']! > 5,
      JSON.stringify(counts),
    )
    assert.ok(counts['reports']! > 0 && judged > 0, JSON.stringify({ counts, faults, judged }))
  })

test('the same seed makes the same history, another one makes another', async () => {
  const digests: string[] = []
  for (const seed of [5, 5, 6]) digests.push((await simulate({ seed, hours: 1 })).digest)
  assert.equal(digests[0], digests[1])
  assert.notEqual(digests[0], digests[2])
})

test('simulated time moves from event to event, in order, and a cancelled one does not happen', () => {
  const time = new VirtualTime()
  const seen: string[] = []
  time.after(20, () => seen.push(`b ${time.monotonicMs()}`))
  time.after(10, () => seen.push(`a ${time.monotonicMs()}`))
  time.after(20, () => seen.push('c'))
  time.after(15, () => seen.push('never'))()
  const wallMs = time.nowMs()
  time.jump(-5)
  for (let run = time.next(100); run !== null; run = time.next(100)) run()
  assert.deepEqual(seen, ['a 10', 'b 20', 'c'])
  assert.equal(time.monotonicMs(), 100)
  assert.equal(time.nowMs(), wallMs + 95)
})

test('wrong arguments are told', () => {
  assert.equal(readArguments(['--hours', 'many']), '--hours needs a number')
  assert.equal(readArguments(['--fast']), 'unknown argument --fast')
  assert.deepEqual(readArguments(['--seed', '7', '--hours', '100', '--rate', '0.5', '--json']), {
    seed: 7,
    hours: 100,
    count: 1,
    rate: 0.5,
    isJson: true,
  })
})
