import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLabClock } from './clock.ts'

test('a movable clock stands still until it is advanced, and both times move together', async () => {
  const clock = createLabClock(1000)
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [1000, 0])
  await clock.advance(50)
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [1050, 50])
  clock.set(7)
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [7, 50])
})

test('sleepers wake in the order of their times, each at its own time, also those that sleep again', async () => {
  const clock = createLabClock(0)
  const woken: string[] = []
  const sleeper = async (name: string, ...naps: number[]): Promise<void> => {
    for (const ms of naps) {
      await clock.sleep(ms)
      woken.push(`${name} ${clock.monotonicMs()}`)
    }
  }
  const all = [sleeper('a', 30), sleeper('b', 10, 10, 100), sleeper('c', 20)]
  await clock.advance(40)
  assert.deepEqual(woken, ['b 10', 'c 20', 'b 20', 'a 30'])
  assert.equal(clock.sleepers, 1)
  await clock.advance(80)
  await Promise.all(all)
  assert.equal(woken.at(-1), 'b 120')
})

test('a sleep of nothing is over at once', async () => {
  await createLabClock().sleep(0)
})
