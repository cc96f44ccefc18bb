// The vocabulary of the log promises nothing: each event in it is written somewhere in the product.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logEvents } from '../../src/telemetry/index.ts'
import { filesBelow, readText } from './source.ts'

test('every event of the log is written by the product', () => {
  const isProduct = (path: string): boolean => !path.endsWith('.test.ts') && !path.endsWith('/log-events.ts')
  const product = filesBelow('src', '.ts').filter(isProduct).map(readText).join('\n')
  assert.deepEqual(
    Object.keys(logEvents).filter(name => !product.includes(`'${name}'`)),
    [],
  )
})
