// Who waits for a slot, and in which order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots } from './slots.ts'

const { signal } = new AbortController()

/** Takes a slot and notes the name when it is there. */
function take(slots: Slots, asker: number, name: string, taken: string[]): void {
  void slots.take(signal, asker).then(how => {
    if (how === 'taken') taken.push(name)
  })
}

test('thousands of questions of one keep nobody else waiting: those who ask take turns', async () => {
  const slots = new Slots(1, 10_000)
  await slots.take(signal, 1)
  const taken: string[] = []
  for (let i = 0; i < 5_000; i++) take(slots, 1, `a${i}`, taken)
  take(slots, 2, 'b0', taken)
  take(slots, 2, 'b1', taken)
  take(slots, 3, 'c0', taken)
  for (let i = 0; i < 6; i++) slots.release()
  await Promise.resolve()
  assert.deepEqual(taken, ['a0', 'b0', 'c0', 'a1', 'b1', 'a2'])
  assert.deepEqual(slots.load, { used: 1, waiting: 4_997 })
})

test('who has gone is passed over, and the bound is on all who wait', async () => {
  const slots = new Slots(1, 2)
  await slots.take(signal, 1)
  const gone = new AbortController()
  const given = slots.take(gone.signal, 1)
  const taken: string[] = []
  take(slots, 2, 'b0', taken)
  assert.equal(await slots.take(signal, 3), 'full')
  gone.abort()
  assert.equal(await given, 'aborted')
  slots.release()
  await Promise.resolve()
  assert.deepEqual(taken, ['b0'])
  slots.release()
  assert.deepEqual(slots.load, { used: 0, waiting: 0 })
  assert.equal(await slots.take(signal, 1), 'taken')
})
