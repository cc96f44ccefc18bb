// A run of the bench is complete when each message came, and none twice.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachCameOnce } from './book.ts'

/** A sink that took these recipients, in this order. */
function sinkThatTook(numbers: readonly number[]) {
  const arrivals = new Float64Array(4)
  let twice = 0
  for (const number of numbers) {
    if (arrivals[number] === 0) arrivals[number] = 100 + number
    else twice++
  }
  return {
    waitFor: async (recipients: number) =>
      numbers.length >= recipients ? 200 : await new Promise<number>(() => {}),
    arrivals: async () => arrivals,
    counts: async () => ({ twice }),
  }
}

test('when each came once, the time of the last one is told', async () => {
  assert.equal(await eachCameOnce(sinkThatTook([0, 2, 1, 3]), 4, 50), 200)
})

test('one that is lost and one that came twice are not two that came', async () => {
  await assert.rejects(eachCameOnce(sinkThatTook([0, 1, 1, 3]), 4, 50), /1 never came, and 1 came twice/)
})

test('one that never comes is not waited for without end', async () => {
  await assert.rejects(eachCameOnce(sinkThatTook([0, 1, 2]), 4, 50), /1 never came, and 0 came twice/)
})

test('one that came twice fails the run, even when all came', async () => {
  await assert.rejects(eachCameOnce(sinkThatTook([0, 1, 2, 3, 3]), 4, 50), /0 never came, and 1 came twice/)
})
