import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogThrottle } from './log-throttle.ts'

test('twenty lines of a kind pass in ten seconds, and the next window says how many did not; kinds do not disturb each other', () => {
  const throttle = new LogThrottle()
  const passed = Array.from({ length: 50 }, (_, at) => throttle.pass('full', at)).filter(one => one !== null)
  assert.equal(passed.length, 20)
  assert.equal(throttle.pass('other', 49), 0)
  assert.equal(throttle.pass('full', 9999), null)
  assert.equal(throttle.pass('full', 10_000), 31)
  assert.equal(throttle.pass('full', 10_001), 0)
})
