// Fuzz target: the scanner of DATA and BDAT contents, against the rules written down a second time without state.

import assert from 'node:assert/strict'
import { cutsOf, type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { type ContentFault, ContentScanner } from './content-scanner.ts'

interface Reading {
  /** Offset behind the end of DATA, -1 without one. */
  readonly end: number
  readonly fault: ContentFault | null
  /** With a fault nothing is said of what came out before it. */
  readonly output: string | null
  readonly sizeBytes: number
  readonly longestLineBytes: number
  readonly hasEightBit: boolean
  readonly hasDotLine: boolean
}

const nothingSaid = {
  output: null,
  sizeBytes: 0,
  longestLineBytes: 0,
  hasEightBit: false,
  hasDotLine: false,
} as const

/** The rules as a reader of the RFC would put them. */
function plainReading(input: Buffer, isData: boolean, mendsBareLf: boolean): Reading {
  const text = input.toString('latin1')
  const found = isData ? /(?:^|\r\n)\.\r\n/.exec(text) : null
  const end = found === null ? -1 : found.index + found[0].length
  const contentEnd = found === null ? text.length : found.index + found[0].length - 3
  const content = text.slice(0, contentEnd)
  // A CR at the very end may be half of a line end, but at the end of a BDAT content no other half comes.
  const wrong = mendsBareLf ? /\r(?!\n)|\0/ : /\r(?!\n)|(?<!\r)\n|\0/
  const at = wrong.exec(content)
  const kinds: Readonly<Record<string, ContentFault['kind']>> = {
    '\r': 'bare-cr',
    '\n': 'bare-lf',
    '\0': 'nul',
  }
  const linesBefore = at === null ? 0 : content.slice(0, at.index).split('\n').length
  const fault = at === null ? null : { kind: kinds[at[0]]!, line: linesBefore }
  if (fault !== null) return { end, fault, ...nothingSaid }
  const strict = content.split('\r\n')
  const unstuffed = isData ? strict.map(line => (line.startsWith('.') ? line.slice(1) : line)) : strict
  const lines = unstuffed.flatMap(line => line.split('\n'))
  if (!isData && lines.at(-1) !== '') lines.push('')
  const output = lines.join('\r\n')
  return {
    end,
    fault,
    output,
    sizeBytes: output.length,
    longestLineBytes: lines.reduce((most, line) => Math.max(most, line.length), 0),
    hasEightBit: /[\x80-\xff]/.test(output),
    // A mended LF counts as such a line, whatever follows it.
    hasDotLine: unstuffed.some(line => line.startsWith('.') || line.includes('\n')),
  }
}

function scan(chunks: readonly Buffer[], isData: boolean, mendsBareLf: boolean): Reading {
  const scanner = new ContentScanner({ kind: isData ? 'data' : 'bdat', mendsBareLf })
  const pieces: Buffer[] = []
  let before = 0
  let end = -1
  for (const chunk of chunks) {
    const found = scanner.scan(chunk, 0, chunk.length)
    pieces.push(scanner.take() ?? Buffer.alloc(0))
    if (found >= 0) {
      end = before + found
      break
    }
    before += chunk.length
  }
  if (!isData) scanner.finishChunks()
  pieces.push(scanner.take() ?? Buffer.alloc(0))
  const { fault, sizeBytes, longestLineBytes, hasEightBit, hasDotLine } = scanner
  if (fault !== null) return { end, fault, ...nothingSaid }
  const output = Buffer.concat(pieces).toString('latin1')
  return { end, fault, output, sizeBytes, longestLineBytes, hasEightBit, hasDotLine }
}

export const target: FuzzTarget = {
  name: 'content',
  invariants: [
    'DATA ends at the first CRLF.CRLF and at nothing else; what came out is the content without its stuffing',
    'bare CR, bare LF and NUL are found, the first one with its line; a mended LF never makes a line end of DATA',
    'BDAT takes everything; both give the same however the bytes are split',
  ],
  dictionary: [
    '\r\n.\r\n',
    '\r\n..',
    '\n.\n',
    '\n.\r\n',
    '\r.\r',
    '\r\n.\n',
    '\r\r\n.\r\n',
    '\r\n.\r',
    '.\r\n',
    '\r\n\0.\r\n',
    'Subject: x\r\n\r\n',
  ],
  seeds: [
    'Subject: hello\r\n\r\nbody\r\n',
    '.stuffed\r\n..\r\n...\r\n',
    'a\r\n.\r\nMAIL FROM:<x@y>\r\n',
    'a\n.\nb\r\n',
    'a\r.\rb\0\r\n',
    '\xff\xfe\r\n',
    '.\r\n',
    // A mended LF at the end of BDAT once got a second line end.
    '\n',
  ],
  inputBytesMax: 200,
  // Twenty scans an input, and every mended LF is a piece of its own.
  slowMs: 600,
  run(input) {
    const ended = Buffer.concat([input, Buffer.from('\r\n.\r\n')])
    for (const isData of [true, false]) {
      for (const mendsBareLf of [false, true]) {
        const bytes = isData ? ended : input
        const plain = plainReading(bytes, isData, mendsBareLf)
        assert.deepEqual(scan([bytes], isData, mendsBareLf), plain)
        for (const chunks of cutsOf(bytes)) assert.deepEqual(scan(chunks, isData, mendsBareLf), plain)
        must(plain.output === null || !plain.output.includes('\0'), 'no NUL comes out')
      }
    }
  },
}
