// A drain that stands still is told; one that only pauses goes on, and its longest pause is known.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrainWatch } from './drain-watch.ts'

/** A receiver that has taken these so far, look by look, and then no more. */
function watching(counts: readonly number[], stallMs: number): DrainWatch {
  let look = 0
  const came = async () => counts[Math.min(look++, counts.length - 1)]!
  return new DrainWatch({ came, lookEveryMs: 10, stallMs })
}

test('a drain of which nothing comes any more is given up, and does not count as enough', async () => {
  const watch = watching([0, 10, 20], 100)
  assert.equal(await watch.until(came => came >= 100), false)
  assert.ok(watch.longestPauseMs >= 100)
})

test('a drain that pauses for less goes on to what is asked for', async () => {
  const watch = watching([0, 10, 10, 10, 10, 20, 30], 1000)
  assert.equal(await watch.until(came => came >= 30), true)
  assert.ok(watch.longestPauseMs >= 30 && watch.longestPauseMs < 1000)
})

test('what is enough from the start needs no arrival', async () => {
  assert.equal(await watching([5], 0).until(came => came === 5), true)
})
