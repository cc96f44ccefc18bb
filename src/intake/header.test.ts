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

const strays: readonly (readonly [why: string, header: string, line: number])[] = [
  ['has no colon', 'From: a@b.example\r\nthis is text\r\nTo: c@d.example\r\n\r\n', 2],
  ['has a blank in its name', 'From: a@b.example\r\nX: y\r\nX Y: z\r\n\r\n', 3],
  ['begins with a colon', ': value\r\nFrom: a@b.example\r\n\r\n', 1],
  ['is a continuation of nothing', ' folded\r\nFrom: a@b.example\r\n\r\n', 1],
  ['is blank, but not empty', ' \r\nFrom: a@b.example\r\n\r\n', 1],
  [
    'is the separator of a mailbox file',
    'From a@b.example Mon Nov 23 10:00:00 2026\r\nFrom: a@b.example\r\n\r\n',
    1,
  ],
  ['is body without a blank line before it', `${'X : y\r\n'.repeat(30)}Hello,\r\nworld\r\n`, 31],
]

for (const [why, header, line] of strays)
  test(`a header with a line that ${why} is refused, and the line is named`, () => {
    const refused = readHeader(Buffer.from(header), 10_000, 100)
    assert.ok('kind' in refused)
    assert.equal(refused.code, 'header-malformed')
    assert.match(refused.text, new RegExp(`^line ${line} of the header is no field`))
  })

test('folds and blanks that servers understand are no fault of a header', () => {
  const odd = 'From: a@b.example\r\nX : y\r\nX:\r\n z\r\nX: y\r\n \r\n\tz\r\nX:\r\n\r\n'
  assert.ok('fields' in readHeader(Buffer.from(odd), 10_000, 100))
})
