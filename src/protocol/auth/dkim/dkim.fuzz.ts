// Fuzz target: DKIM canonicalisation, against the text of the RFC written down plainly.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cutsOf, type FuzzTarget } from '../../../../test/fuzz/target.ts'
import { scanHeaderBlock } from '../../mail/index.ts'
import { BodyHasher } from './body-hasher.ts'
import { canonicaliseFields } from './header-canon.ts'
import { plainRelaxedBody, plainRelaxedField } from './testing/plain-canon.ts'

const sha256 = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex')

function hashOf(chunks: readonly Buffer[]): string {
  const hasher = new BodyHasher()
  for (const chunk of chunks) hasher.push(chunk)
  return hasher.digest().toString('hex')
}

export const target: FuzzTarget = {
  name: 'dkim-canon',
  invariants: [
    'the body hash is that of the relaxed form of RFC 6376 §3.4.4, however the body is split',
    'the relaxed form of every header field is that of RFC 6376 §3.4.2',
  ],
  dictionary: [
    '\r\n',
    '\r\n\r\n',
    ' \r\n',
    '\t\r\n',
    '  ',
    ' \t ',
    '\r',
    '\n',
    'A: b',
    ' :',
    '\r\n ',
    '\r\n\t',
    'a'.repeat(300),
  ],
  seeds: [
    'A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n',
    '\r\n\r\n',
    ' \r\n \r\n',
    'a\rb\nc\r',
    `${'x'.repeat(600)} \r\n${'y'.repeat(300)}  z`,
    `${'word '.repeat(120)}\r\n`,
  ],
  inputBytesMax: 1500,
  run(input) {
    const expected = sha256(plainRelaxedBody(input.toString('latin1')))
    assert.equal(hashOf([input]), expected)
    for (const chunks of cutsOf(input)) assert.equal(hashOf(chunks), expected)
    const scan = scanHeaderBlock(input, { sizeBytesMax: input.length, fieldsMax: 200 })
    if (scan.kind !== 'scanned') return
    const fields = scan.block.fields.filter(field => field.name !== '')
    const ours = canonicaliseFields(fields).toString('latin1')
    const plain = fields.map(({ source, start, end }) =>
      plainRelaxedField(source.toString('latin1', start, end)),
    )
    assert.equal(ours, plain.join(''))
  },
}
