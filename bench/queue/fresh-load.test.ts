// The latency of fresh mail is that of messages that came.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LoadOptions, LoadOutcome } from '../traffic/index.ts'
import { FreshLoad } from './fresh-load.ts'

const acceptedAtMs = 1000

/** All are accepted at once; they arrive at these times, 0 for those that never come. */
function loadWith(arrivals: readonly number[]): FreshLoad {
  const send = async ({ messages }: LoadOptions): Promise<LoadOutcome> => ({
    startedMs: acceptedAtMs,
    endedMs: acceptedAtMs,
    accepted: messages,
    refused: 0,
    unknown: 0,
    handshakes: 0,
    resumed: 0,
    dueMs: new Float64Array(messages).fill(acceptedAtMs),
    acceptedMs: new Float64Array(messages).fill(acceptedAtMs),
  })
  return new FreshLoad({ send, arrivals: async () => Float64Array.from(arrivals) }, 50)
}

test('the p99 is of the time from the 250 to the arrival', async () => {
  assert.equal(await loadWith([1010, 1020, 1005, 990]).run({ port: 0 }, 4, 1), 20)
})

test('a message that never came fails the run, and is not the fastest of all', async () => {
  await assert.rejects(loadWith([1010, 0, 1005, 1020]).run({ port: 0 }, 4, 1), /1 of 4 .* never came/)
  await assert.rejects(loadWith([0]).first({ port: 0 }), /1 of 1 .* never came/)
})
