import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type HeaderField, scanHeaderBlock } from '../../mail/index.ts'
import { canonicaliseFields, chooseSignedFields } from './header-canon.ts'
import { plainRelaxedField } from './testing/plain-canon.ts'

function fieldsIn(text: string): readonly HeaderField[] {
  const scan = scanHeaderBlock(Buffer.from(text, 'latin1'))
  if (scan.kind !== 'scanned') throw new Error(scan.kind)
  return scan.block.fields
}

test('the example of RFC 6376 §3.4.5', () => {
  const canonical = canonicaliseFields(fieldsIn('A: X\r\nB : Y\t\r\n\tZ  \r\n'))
  assert.equal(canonical.toString(), 'a:X\r\nb:Y Z\r\n')
})

test('the canonical form is that of the plain rule', () => {
  const piece = fc.constantFrom(' ', '\t', '\r\n ', '\r\n\t', 'a', 'b:c', '\xe9')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), pieces => {
      const field = `SubJect:${pieces.join('')}\r\n`
      const canonical = canonicaliseFields(fieldsIn(field)).toString('latin1')
      assert.equal(canonical, plainRelaxedField(field))
    }),
  )
})

test('an empty value and a field without final CRLF have a canonical form', () => {
  assert.equal(canonicaliseFields(fieldsIn('A:\r\nB:')).toString(), 'a:\r\nb:\r\n')
})

test('every instance is signed from the bottom up, and one absent instance is named', () => {
  const fields = fieldsIn('To: 1\r\nFrom: a@b\r\nX-Other: x\r\nTo: 2\r\nReferences: r\r\n\r\n')
  const chosen = chooseSignedFields(fields)
  const values = chosen.fields.map(field =>
    field.source.toString('latin1', field.valueStart, field.end).trim(),
  )
  assert.deepEqual(values, ['a@b', '2', '1', 'r'])
  const count = (name: string): number => chosen.names.filter(other => other === name).length
  assert.deepEqual(
    [count('From'), count('To'), count('Cc'), count('References'), count('Sender')],
    [2, 3, 1, 1, 0],
  )
})
