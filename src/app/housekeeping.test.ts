// On a full disk no event can be deleted; what would make room must be deleted all the same.
// What can never be deleted is told. A clock that jumps ahead makes no event old at once.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../base/index.ts'
import { Housekeeping } from './housekeeping.ts'

test('segments that a backup held back go, also while the disk refuses to delete events', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_800_000_000_000 })
  const logged: unknown[] = []
  let swept = 0
  const control = {
    pruneEvents: async (): Promise<number> => {
      throw new Error('no space left')
    },
    sweepSegments: async () => {
      swept++
      return null
    },
  }
  using _housekeeping = new Housekeeping(
    { store: { control }, config: { retention: { eventsMs: 1000 } } },
    systemClock,
    { event: (name, fields) => void logged.push([name, fields?.['during']]) },
  )
  t.mock.timers.tick(60_000)
  for (let turn = 0; turn < 5; turn++) await nextTurn()
  assert.equal(swept, 2, 'at the start and a minute later')
  assert.deepEqual(logged, [['store.failed', 'housekeeping']])
})

test('a lock that this user may not take is told at the start and then no more, until it was mended and is lost again', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_800_000_000_000 })
  const logged: unknown[] = []
  const fault = { why: 'this user may not lock it', hint: 'chown' }
  let found: typeof fault | null = fault
  const control = { pruneEvents: async () => 0, sweepSegments: async () => found }
  using _housekeeping = new Housekeeping(
    { store: { control }, config: { retention: { eventsMs: 1000 } } },
    systemClock,
    { event: (name, fields) => void logged.push([name, fields]) },
  )
  const hour = async (): Promise<number> => {
    t.mock.timers.tick(3_600_000)
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    return logged.length
  }
  await nextTurn()
  assert.deepEqual(logged, [['store.segments-kept', fault]])
  assert.equal(await hour(), 1)
  found = null
  assert.equal(await hour(), 1)
  found = fault
  assert.equal(await hour(), 2)
})

test('a clock that jumps ahead makes events old only when it has stood so for a day, one that goes back at once', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const startMs = 1_800_000_000_000
  const dayMs = 86_400_000
  let monotonicMs = 5000
  let jumpMs = 0
  const clock = { nowMs: () => startMs - 5000 + monotonicMs + jumpMs, monotonicMs: () => monotonicMs }
  const pruned: number[] = []
  const control = {
    pruneEvents: async (beforeMs: number) => pruned.push(beforeMs),
    sweepSegments: async () => null,
  }
  using _housekeeping = new Housekeeping(
    { store: { control }, config: { retention: { eventsMs: 1000 } } },
    clock,
    { event: () => assert.fail() },
  )
  const hours = async (count: number): Promise<number | undefined> => {
    for (let hour = 0; hour < count; hour++) {
      monotonicMs += 3_600_000
      t.mock.timers.tick(3_600_000)
      for (let turn = 0; turn < 10; turn++) await nextTurn()
    }
    return pruned.at(-1)
  }
  const rightMs = (): number => startMs - 5000 + monotonicMs - 1000
  assert.equal(await hours(1), rightMs())
  jumpMs = 60 * dayMs
  assert.equal(await hours(1), rightMs())
  assert.equal(await hours(22), rightMs())
  jumpMs = 0
  assert.equal(await hours(3), rightMs(), 'it was set right again')
  jumpMs = -dayMs
  assert.equal(await hours(1), rightMs() - dayMs)
  jumpMs = 0
  assert.equal(await hours(25), rightMs(), 'as after a start before the clock was set')
})
