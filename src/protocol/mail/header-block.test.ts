import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  countFields,
  fieldBytes,
  fieldsInOrder,
  fieldsNamed,
  fieldValue,
  type HeaderBlock,
  hiddenRecipientFields,
  scanHeaderBlock,
  withoutFields,
} from './header-block.ts'

function scan(text: string): HeaderBlock {
  const result = scanHeaderBlock(Buffer.from(text, 'latin1'))
  assert.equal(result.kind, 'scanned')
  return (result as { block: HeaderBlock }).block
}

test('fields keep their order, bytes and unfolded values', () => {
  const block = scan('From: a@b.example\r\nSubject: one\r\n\ttwo \r\nTo: x\r\n\r\n')
  assert.deepEqual(
    block.fields.map(field => field.name),
    ['from', 'subject', 'to'],
  )
  assert.equal(fieldBytes(block.fields[1]!).toString(), 'Subject: one\r\n\ttwo \r\n')
  assert.equal(fieldValue(block.fields[1]!), 'one\ttwo')
  assert.equal(block.hasBlankLine, true)
  assert.deepEqual(block.oddities, [])
})

test('a content that starts with the blank line has no fields', () => {
  const block = scan('\r\n')
  assert.deepEqual(block.fields, [])
  assert.equal(block.hasBlankLine, true)
})

test('a content without blank line is all header', () => {
  const block = scan('From: a@b.example\r\nSubject: x\r\n')
  assert.equal(block.fields.length, 2)
  assert.equal(block.hasBlankLine, false)
  assert.deepEqual(block.oddities, [])
})

test('names are counted whatever their case, also with white space before the colon', () => {
  const block = scan('Received: 1\r\nRECEIVED: 2\r\nFrom : a@b\r\nreceived:3\r\n\r\n')
  assert.equal(countFields(block, 'received'), 3)
  assert.equal(fieldsNamed(block, 'from').length, 1)
  assert.deepEqual(block.oddities, [{ kind: 'space-before-colon', at: 30 }])
})

const odd: readonly (readonly [string, string, string])[] = [
  ['a line without colon', 'hello world\r\n\r\n', 'no-colon'],
  ['a colon without name', ': x\r\n\r\n', 'bad-name'],
  ['an 8-bit name', 'Fr\xf6m: x\r\n\r\n', 'bad-name'],
  ['a continuation before any field', ' x: y\r\n\r\n', 'leading-continuation'],
  ['a continuation of nothing but white space', 'A: b\r\n  \r\nC: d\r\n\r\n', 'blank-continuation'],
  ['a bare CR', 'A: b\rFrom: x\r\n\r\n', 'bare-cr'],
  ['a bare LF', 'A: b\nFrom: x\r\n\r\n', 'bare-lf'],
  ['a NUL', 'A: \0\r\n\r\n', 'nul'],
  ['a last line without CRLF', 'A: b', 'unterminated'],
]
for (const [what, text, kind] of odd) {
  test(`${what} is reported and kept`, () => {
    const block = scan(text)
    assert.equal(block.oddities[0]?.kind, kind)
    assert.equal(
      Buffer.concat(block.fields.map(fieldBytes)).toString('latin1'),
      text.replace(/\r\n\r\n$/, '\r\n'),
    )
  })
}

test('a bare LF does not make a second field', () => {
  assert.equal(countFields(scan('A: b\nFrom: x\r\n\r\n'), 'from'), 0)
})

test('too many fields and too many bytes are values', () => {
  const many = Buffer.from('A: b\r\n'.repeat(1001))
  assert.deepEqual(scanHeaderBlock(many), { kind: 'too-many-fields', fieldsMax: 1000 })
  assert.equal(scanHeaderBlock(many.subarray(0, 6000)).kind, 'scanned')
  const large = Buffer.alloc(128 * 1024 + 1, 0x61)
  assert.deepEqual(scanHeaderBlock(large), { kind: 'too-large', sizeBytesMax: 131072 })
})

test('Bcc and Resent-Bcc go with all their lines and nothing else does', () => {
  const block = scan('Bcc: a@b,\r\n c@d\r\nFrom: x\r\nresent-BCC: e\r\nBccx: stays\r\n\r\n')
  const cleaned = withoutFields(block, hiddenRecipientFields)
  assert.equal(cleaned.bytes.toString(), 'From: x\r\nBccx: stays\r\n\r\n')
  assert.equal(withoutFields(cleaned, hiddenRecipientFields), cleaned)
  assert.equal(cleaned.fields[1]?.start, 9)
})

test('fields of a prefix come before those of the content', () => {
  const prefix = scan('Message-ID: <1@x>\r\n')
  const names = fieldsInOrder(prefix, scan('From: a\r\n\r\n')).map(field => field.name)
  assert.deepEqual(names, ['message-id', 'from'])
})

test('8-bit header bytes are noticed', () => {
  assert.equal(scan('Subject: x\r\n\r\n').isAscii, true)
  assert.equal(scan('Subject: \xe9\r\n\r\n').isAscii, false)
})

test('whatever the bytes, the fields and the blank line together are the block', () => {
  const piece = fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', ':', 'a', 'From', '\0', '\xff')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), pieces => {
      const bytes = Buffer.from(pieces.join(''), 'latin1')
      const result = scanHeaderBlock(bytes)
      assert.equal(result.kind, 'scanned')
      if (result.kind !== 'scanned') return
      const { block } = result
      const joined = [...block.fields.map(fieldBytes), Buffer.from(block.hasBlankLine ? '\r\n' : '')]
      assert.deepEqual(Buffer.concat(joined), block.bytes)
      assert.deepEqual(block.bytes, bytes.subarray(0, block.bytes.length))
      if (!block.hasBlankLine) assert.equal(block.bytes.length, bytes.length)
    }),
  )
})
