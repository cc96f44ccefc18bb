import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseContentType } from './content-type.ts'
import { foldField } from './fold.ts'
import {
  decodeQuotedPrintable,
  encodeBase64,
  encodeQuotedPrintable,
  rewrapBase64,
} from './transfer-encoding.ts'

const piece = fc.constantFrom(
  ' ',
  '\t',
  '\r\n',
  '\r',
  '\n',
  '=',
  'a',
  '.',
  '\0',
  '\x7f',
  '\xe9',
  'word '.repeat(20),
)
const bytes = fc.oneof(
  fc.array(piece, { maxLength: 60 }).map(pieces => Buffer.from(pieces.join(''), 'latin1')),
  fc.uint8Array({ maxLength: 400 }).map(array => Buffer.from(array)),
)

function assertLines(text: string, max: number): void {
  for (const line of text.split('\r\n')) assert.ok(line.length <= max, line)
}

test('quoted-printable decodes to what was encoded, in printable lines of at most 76', () => {
  fc.assert(
    fc.property(bytes, input => {
      const text = encodeQuotedPrintable(input).toString('latin1')
      assertLines(text, 76)
      assert.match(text, /^(?:[\t\x20-\x7e]|\r\n)*$/)
      assert.equal(/[ \t](?:\r\n|$)/.test(text), false)
      assert.deepEqual(decodeQuotedPrintable(Buffer.from(text, 'latin1')), input)
    }),
    { numRuns: 1000 },
  )
})

test('a lenient reader of quoted-printable keeps what does not fit and drops padding', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a=3db', 'a=b'],
    ['a=ZZ=', 'a=ZZ'],
    ['soft= \t\r\nbreak', 'softbreak'],
    ['pad  \r\nx', 'pad\r\nx'],
    ['kept=20  \r\n', 'kept \r\n'],
    ['=C', '=C'],
  ]
  for (const [encoded, decoded] of cases) {
    assert.equal(decodeQuotedPrintable(Buffer.from(encoded)).toString(), decoded)
  }
})

test('base64 decodes to what was encoded, in lines of at most 76', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), array => {
      const input = Buffer.from(array)
      const text = encodeBase64(input).toString('latin1')
      assertLines(text, 76)
      assert.deepEqual(Buffer.from(text, 'base64'), input)
    }),
  )
  const large = Buffer.alloc(57 * 1024 * 2 + 5, 7)
  const text = encodeBase64(large).toString('latin1')
  assertLines(text, 76)
  assert.deepEqual(Buffer.from(text, 'base64'), large)
})

test('base64 in one long line is only broken anew', () => {
  const text = Buffer.alloc(3000, 9).toString('base64')
  const wrapped = rewrapBase64(Buffer.from(`${text}\r\n`)).toString('latin1')
  assertLines(wrapped, 76)
  assert.equal(wrapped.replaceAll('\r\n', ''), text)
})

test('no line of quoted-printable begins like a delimiter, wherever lines are broken', () => {
  const piece = fc.constantFrom(
    '-',
    '--',
    '--b',
    '\r\n',
    'a'.repeat(70),
    'a'.repeat(74),
    'a',
    '=',
    '\xe9',
    ' ',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), pieces => {
      const bytes = Buffer.from(pieces.join(''), 'latin1')
      const text = encodeQuotedPrintable(bytes).toString('latin1')
      assert.doesNotMatch(text, /(^|\r\n)--/)
      assert.deepEqual(decodeQuotedPrintable(Buffer.from(text)), bytes)
    }),
    { numRuns: 2000 },
  )
})

test('folding puts in nothing but CRLF before white space, and keeps lines within the limit', () => {
  const word = fc.constantFrom('a', 'word', 'x'.repeat(70), 'y'.repeat(150), ' ', '  ', '\t', ',', '\r\n ')
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), words => {
      const field = `Subject: ${words.join('')}\r\n`
      const folded = foldField(Buffer.from(field), 200)
      if (folded === undefined) return
      const text = folded.toString()
      assert.equal(text.replaceAll('\r\n', ''), field.replaceAll('\r\n', ''))
      assertLines(text, 200)
      if (text !== field) assert.equal(/\r\n[ \t]*\r\n/.test(text), /\r\n[ \t]*\r\n/.test(field))
    }),
    { numRuns: 1000 },
  )
})

test('a field whose words are short can always be folded; one long word cannot', () => {
  const folded = foldField(Buffer.from(`References:${' <id@example.test>'.repeat(200)}\r\n`), 998)
  assertLines(folded?.toString() ?? 'x'.repeat(99), 78)
  assert.equal(foldField(Buffer.from(`X: ${'a'.repeat(1000)}\r\n`), 998), undefined)
})

test('Content-Type is read with quotes, comments, folded white space and junk', () => {
  const read = (value: string): [string, string | undefined] => {
    const { type, params } = parseContentType(value)
    return [type, params.get('boundary')]
  }
  assert.deepEqual(read('Multipart/Mixed; charset=x; Boundary="a \\"b"'), ['multipart/mixed', 'a "b'])
  assert.deepEqual(read('multipart/mixed (c;c) ;\t(x) boundary = --==_a/b=? (end)'), [
    'multipart/mixed',
    '--==_a/b=?',
  ])
  assert.deepEqual(read('multipart/mixed; junk; boundary=a; boundary=b'), ['multipart/mixed', 'a'])
  assert.deepEqual(read('multipart/mixed junk; boundary="open'), ['multipart/mixed', 'open'])
  assert.deepEqual(read('text'), ['', undefined])
  assert.deepEqual(read(''), ['', undefined])
  assert.deepEqual(read('text/plain; ='), ['text/plain', undefined])
})
