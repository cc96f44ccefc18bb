// Fuzz target: the line reader of the server, against a plain reading of the whole bytes.

import assert from 'node:assert/strict'
import { cutsOf, type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { LineInput } from './line-input.ts'

const lineBytesMax = 40

function readLines(chunks: readonly Buffer[]): string[] {
  const input = new LineInput()
  const found: string[] = []
  for (const chunk of chunks) {
    input.push(chunk, false)
    for (let status = input.next(lineBytesMax); status !== 'none'; status = input.next(lineBytesMax)) {
      found.push(status === 'line' ? `line ${input.lineBytes} ${input.line}` : status)
      if (status !== 'line') continue
      must(!/[\u0000-\u001f\u007f-\u009f]/.test(input.line), 'a line has no control characters')
      must(input.lineBytes <= lineBytesMax, 'a line is within its limit')
      must(!input.line.endsWith(' '), 'spaces at the end of a line are dropped')
    }
    must(input.length <= lineBytesMax, 'what is held of an unfinished line is within its limit')
  }
  return found
}

/** How many lines there are and how long each is can be read off the bytes. */
function lengthsOf(input: Buffer): string[] {
  const lengths: string[] = []
  let start = 0
  for (let at = 0; at < input.length; at++) {
    if (input[at] !== 0x0a) continue
    lengths.push(at + 1 - start > lineBytesMax ? 'too-long' : 'short')
    start = at + 1
  }
  return lengths
}

export const target: FuzzTarget = {
  name: 'line-input',
  invariants: [
    'the same lines come out however the bytes are split',
    'a line has no control characters and is within its limit; what is held of an unfinished one too',
    'one status for each LF: too-long exactly when the line is, and never two lines out of one',
  ],
  dictionary: [
    '\r\n',
    '\n',
    '\r',
    ' \r\n',
    'EHLO a',
    'MAIL FROM:<a@b>',
    '\xc3\xa9',
    '\xc2\x85',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  ],
  seeds: [
    'EHLO a.test\r\nNOOP \r\n',
    'a\nb\rc\0\r\n',
    `${'x'.repeat(39)}\r\n${'y'.repeat(38)}\r\n`,
    'caf\xc3\xa9\r\n\xe9\r\n',
  ],
  inputBytesMax: 300,
  run(input) {
    const whole = readLines([input])
    const statuses = whole.map(one => (one === 'too-long' ? 'too-long' : 'short'))
    assert.deepEqual(statuses, lengthsOf(input))
    for (const chunks of cutsOf(input)) assert.deepEqual(readLines(chunks), whole)
  },
}
