// What re-encoding takes in memory: little more than the bytes of the new content, and a
// bounded number of trees at a time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { heapTakenBy } from '../../../test/support/heap.ts'
import { reencodeSteps } from './reencode.ts'
import { runAtOnce, Turns } from './steps.ts'
import { content, eightBit } from './test-kit-reencode.ts'

test('a content of ten thousand parts takes little more than its bytes once it is re-encoded', () => {
  const part = '--b\r\n\r\n\u00fc\r\n'
  const input = content('Content-Type: multipart/mixed; boundary=b', '', part.repeat(9999), '--b--')
  // Once before: what code takes when it is first run is not meant.
  runAtOnce(reencodeSteps(input, eightBit))
  let bytes = 0
  const takenBytes = heapTakenBy(() => {
    const result = runAtOnce(reencodeSteps(input, eightBit))
    if (result.kind !== 'reencoded') throw new Error(JSON.stringify(result))
    for (const piece of result.body) bytes += piece.length
    assert.ok(result.body.length < 100, `${result.body.length} pieces`)
    return result
  })
  assert.ok(bytes > 9999 * 100, 'each part has got fields')
  assert.ok(takenBytes < 200_000, `${takenBytes} bytes of heap beside the bytes themselves`)
})

test('of many long works only so many go on at a time, and each has its turn, also behind one that fails', async () => {
  const turns = new Turns(3)
  let running = 0
  let most = 0
  const done: number[] = []
  const works = Array.from({ length: 50 }, (_, number) =>
    turns.run(async () => {
      most = Math.max(most, ++running)
      for (let i = 0; i < 5; i++) await setImmediate()
      running--
      done.push(number)
      if (number % 2 === 0) throw new Error('no')
    }),
  )
  const ends = await Promise.allSettled(works)
  assert.equal(ends.filter(one => one.status === 'rejected').length, 25)
  assert.equal(most, 3)
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  )
  await turns.run(async () => {})
})
