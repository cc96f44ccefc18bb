// The bound on contents that are held whole: of all threads together, no account has all of it, and never in the way of a
// single content.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeldContents } from './held.ts'

const [acme, rival, third] = [1, 2, 3]

test('threads hold so much together; a content that is alone may be larger', () => {
  const memory = HeldContents.allocate()
  const [one, other] = [new HeldContents(memory, 100), new HeldContents(memory, 100)]
  assert.equal(one.take(acme, 60, 0), true)
  assert.equal(other.take(rival, 41, 0), false, 'it was not counted')
  assert.equal(other.take(rival, 20, 0), true)
  assert.equal(one.take(acme, 21, 60), false)
  other.release(rival, 20)
  assert.equal(one.take(acme, 5_000_000_000, 60), true, 'alone')
  assert.equal(other.take(rival, 1, 0), false)
  one.release(acme, 5_000_000_060)
  assert.equal(other.take(rival, 100, 0), true)
})

test('an account with many contents leaves room for others, and these for the next', () => {
  const memory = HeldContents.allocate()
  const [one, other] = [new HeldContents(memory, 1000), new HeldContents(memory, 1000)]
  assert.equal(one.take(acme, 400, 0), true)
  let heldBytes = 400
  // Further contents of the account, octet by octet, in whichever thread.
  for (const thread of [one, other]) while (thread.take(acme, 1, 0)) heldBytes++
  assert.equal(heldBytes, 800)
  assert.equal(other.take(rival, 150, 0), true)
  assert.equal(one.take(third, 40, 0), true)
  assert.equal(one.take(acme, 1, 400), false, 'it has its share')
  other.release(rival, 150)
  one.release(third, 40)
  one.release(acme, 800)
  assert.equal(other.take(rival, 800, 0), true)
})
