import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstFew } from './first-few.ts'

test('of a long list the first five are named and the others counted', () => {
  assert.equal(firstFew(['a']), 'a')
  assert.equal(firstFew(['a', 'b', 'c', 'd', 'e']), 'a, b, c, d, e')
  assert.equal(firstFew(['a', 'b', 'c', 'd', 'e', 'f', 'g']), 'a, b, c, d, e and 2 more')
})
