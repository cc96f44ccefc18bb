// The vocabularies promise nothing: each event of the log is written, and each refusal is
// answered, somewhere in the product.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusals } from '../../src/intake/index.ts'
import { logEvents } from '../../src/telemetry/index.ts'
import { filesBelow, readText } from './source.ts'

/** Those that no file of the product says, but for the one that lists them. */
function unsaid(names: readonly string[], vocabulary: string): string[] {
  const isProduct = (path: string): boolean => !path.endsWith('.test.ts') && path !== vocabulary
  const product = filesBelow('src', '.ts').filter(isProduct).map(readText).join('\n')
  return names.filter(name => !product.includes(`'${name}'`))
}

test('every event of the log is written by the product', () => {
  assert.deepEqual(unsaid(Object.keys(logEvents), 'src/telemetry/log-events.ts'), [])
})

test('every refusal at the door is answered by the product', () => {
  // What `refusal.ts` makes itself.
  const made = ['store-failed']
  const names = Object.keys(refusals).filter(name => !made.includes(name))
  assert.deepEqual(unsaid(names, 'src/intake/refusal.ts'), [])
})
