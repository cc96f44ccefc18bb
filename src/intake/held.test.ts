// The bound on contents that are held whole: of all threads together, and never in the way of a single one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeldContents } from './held.ts'

test('threads hold so much together; a content that is alone may be larger', () => {
  const memory = HeldContents.allocate()
  const [one, other] = [new HeldContents(memory, 100), new HeldContents(memory, 100)]
  assert.equal(one.take(60, 0), true)
  assert.equal(other.take(60, 0), false, 'it was not counted')
  assert.equal(other.take(40, 0), true)
  assert.equal(one.take(1, 60), false)
  other.release(40)
  assert.equal(one.take(5_000_000_000, 60), true, 'alone')
  assert.equal(other.take(1, 0), false)
  one.release(5_000_000_060)
  assert.equal(other.take(100, 0), true)
})
