import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch } from './clock-watch.ts'

test('a jump of the wall clock is told once, either way; time that passes and small steps are not', () => {
  const now = { wallMs: 1_000_000, monotonicMs: 5 }
  const watch = new ClockWatch({ nowMs: () => now.wallMs, monotonicMs: () => now.monotonicMs })
  const pass = (wallMs: number, monotonicMs: number) => {
    now.wallMs += wallMs
    now.monotonicMs += monotonicMs
    return watch.look()
  }
  assert.equal(pass(86_400_000, 86_400_000), null, 'a day passed')
  assert.equal(pass(20_000, 1000), null, 'a small step')
  const before = now.wallMs
  assert.deepEqual(pass(86_400_000 + 500, 500), {
    beforeMs: before,
    nowMs: before + 86_400_500,
    byMs: 86_400_000,
  })
  assert.equal(pass(500, 500), null)
  assert.equal(pass(-86_400_000 + 500, 500)?.byMs, -86_400_000)
  assert.equal(pass(500, 500), null)
})
