// The table of refusals promises nothing: each code in it is given somewhere in the product.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusals } from '../../src/intake/index.ts'
import { filesBelow, readText } from './source.ts'

test('every refusal at the door is given by the product', () => {
  const isProduct = (path: string): boolean => !path.endsWith('.test.ts')
  const product = filesBelow('src', '.ts').filter(isProduct).map(readText).join('\n')
  // Also in the table itself, and without quotes where it is a key: what counts is a call or a value.
  const isGiven = (code: string): boolean => new RegExp(`'${code}'(?!:)`).test(product)
  assert.deepEqual(
    Object.keys(refusals).filter(code => !isGiven(code)),
    [],
  )
})
