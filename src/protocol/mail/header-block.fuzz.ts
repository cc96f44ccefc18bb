// Fuzz target: the header scanner, the collector in front of it, and taking fields out.

import assert from 'node:assert/strict'
import { cutsOf, type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import {
  fieldBytes,
  fieldValue,
  type HeaderBlock,
  hiddenRecipientFields,
  scanHeaderBlock,
  withoutFields,
} from './header-block.ts'
import { HeaderCollector } from './header-collector.ts'

const limits = { sizeBytesMax: 4096, fieldsMax: 60 }

interface Collected {
  readonly kind: string
  readonly header: string
  readonly rest: string
}

function collect(chunks: readonly Buffer[]): Collected {
  const collector = new HeaderCollector(limits.sizeBytesMax)
  for (const [index, chunk] of chunks.entries()) {
    const progress = collector.push(chunk)
    if (progress.kind === 'too-large') return { kind: 'too-large', header: '', rest: '' }
    if (progress.kind !== 'complete') continue
    const rest = Buffer.concat([progress.rest, ...chunks.slice(index + 1)])
    return { kind: 'complete', header: progress.header.toString('latin1'), rest: rest.toString('latin1') }
  }
  return { kind: 'open', header: collector.end().toString('latin1'), rest: '' }
}

const shapeOf = ({ fields, oddities, hasBlankLine, isAscii }: HeaderBlock): unknown => ({
  fields: fields.map(({ name, start, valueStart, end }) => [name, start, valueStart, end]),
  oddities,
  hasBlankLine,
  isAscii,
})

const namesOf = (block: HeaderBlock): string[] => block.fields.map(field => field.name)

function checkBlock(bytes: Buffer): void {
  const scan = scanHeaderBlock(bytes, limits)
  if (scan.kind !== 'scanned') return
  const { block } = scan
  must(
    block.fields.length <= limits.fieldsMax && block.oddities.length <= 16,
    'fields and oddities are bounded',
  )
  const tiles = Buffer.concat([
    ...block.fields.map(fieldBytes),
    Buffer.from(block.hasBlankLine ? '\r\n' : ''),
  ])
  assert.equal(
    tiles.toString('latin1'),
    block.bytes.toString('latin1'),
    'the fields are the block, without a gap',
  )
  for (const field of block.fields) {
    must(/^[!-9;-~]*$/.test(field.name) && field.name === field.name.toLowerCase(), 'a name is lower case')
    must(!fieldValue(field).includes('\r\n'), 'a value is unfolded')
  }
  const again = scanHeaderBlock(block.bytes, limits)
  must(again.kind === 'scanned', 'a block is read again')
  if (again.kind !== 'scanned') return
  assert.deepEqual(shapeOf(again.block), shapeOf(block), 'a block is read again as the same block')
  const kept = withoutFields(block, hiddenRecipientFields)
  const expected = namesOf(block).filter(name => !hiddenRecipientFields.has(name))
  assert.deepEqual(namesOf(kept), expected, 'only the hidden fields go')
  must(kept.hasBlankLine === block.hasBlankLine, 'the blank line stays')
}

export const target: FuzzTarget = {
  name: 'header',
  invariants: [
    'the header ends at the same place however the bytes are split, and header and rest are the bytes',
    'the fields cover the block without a gap; it is read again as the same block',
    'taking out Bcc takes out those fields, nothing else, and never joins or splits others',
  ],
  dictionary: [
    'From: ',
    'Bcc: a@b.test\r\n',
    'Resent-Bcc:',
    'Subject',
    ':',
    '\r\n ',
    '\r\n\t',
    '\r\n',
    '\r\n\r\n',
    ' :',
    '\n',
    '\r',
    '\0',
    '\xc3\xa9',
    'bcc',
  ],
  seeds: [
    'From: a@b.test\r\nSubject: hello\r\n world\r\n\r\nbody\r\n',
    'Bcc: x@y.test\r\nTo: a\r\n\tb\r\n\r\n',
    '\r\nbody',
    ' leading\r\nNo colon\r\nBad name : x\r\n \r\n\r\n',
    'A: b\nC: d\r\r\n\0: x',
    'Bcc: a\r\n \r\nFrom: b\r\n',
  ],
  inputBytesMax: 500,
  run(input) {
    const whole = collect([input])
    for (const chunks of cutsOf(input)) assert.deepEqual(collect(chunks), whole)
    if (whole.kind === 'too-large') return
    assert.equal(whole.header + whole.rest, input.toString('latin1'))
    checkBlock(Buffer.from(whole.header, 'latin1'))
    checkBlock(input)
  },
}
