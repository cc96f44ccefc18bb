import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nextAttempt } from './retry.ts'

const schedule = { intervalsMs: [60_000, 300_000, 600_000] }
const middle = () => 0.5

test('each attempt takes its interval and the last one repeats', () => {
  const delays = [1, 2, 3, 4, 50].map(attempts => nextAttempt(schedule, attempts, 1000, 1e12, middle))
  assert.deepEqual(
    delays.map(next => (next.kind === 'at' ? next.atMs - 1000 : -1)),
    [60_000, 300_000, 600_000, 600_000, 600_000],
  )
})

test('jitter never moves an attempt by more than a tenth of the interval', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempts, random) => {
        const next = nextAttempt(schedule, attempts, 0, 1e12, () => random)
        const intervalMs = schedule.intervalsMs[Math.min(attempts - 1, 2)]!
        assert.ok(next.kind === 'at' && Math.abs(next.atMs - intervalMs) <= intervalMs * 0.1 + 1)
      },
    ),
  )
})

test('the last attempt is made when the message expires, and a deferral from then on ends it', () => {
  assert.deepEqual(nextAttempt(schedule, 1, 0, 10_000, middle), { kind: 'at', atMs: 10_000 })
  assert.deepEqual(nextAttempt(schedule, 2, 10_000, 10_000, middle), { kind: 'expired' })
  assert.deepEqual(nextAttempt(schedule, 2, 10_001, 10_000, middle), { kind: 'expired' })
})
