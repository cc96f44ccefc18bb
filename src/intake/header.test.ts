import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readHeader } from './header.ts'

const fields = (count: number): Buffer => Buffer.from(`${'X-Field: value\r\n'.repeat(count)}\r\n`)

test('a header has at most as many fields as are allowed', () => {
  assert.ok('fields' in readHeader(fields(7), 10_000, 7))
  const refused = readHeader(fields(8), 10_000, 7)
  assert.ok('kind' in refused)
  assert.equal(refused.code, 'header-too-many-fields')
  assert.match(refused.text, /more than 7 fields/)
})

test('a header has at most as many bytes as are allowed', () => {
  const bytes = fields(3)
  assert.ok('fields' in readHeader(bytes, bytes.length, 10))
  const refused = readHeader(bytes, bytes.length - 1, 10)
  assert.ok('kind' in refused && refused.code === 'header-too-large')
})
