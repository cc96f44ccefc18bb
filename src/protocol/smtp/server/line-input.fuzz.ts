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

/** How many lines there are, how long each is and which may be obeyed can be read off the bytes. */
function kindsOf(input: Buffer): { readonly isLong: boolean; readonly isWhole: boolean }[] {
  const kinds: { isLong: boolean; isWhole: boolean }[] = []
  let start = 0
  let isBehindCrLf = true
  for (let at = 0; at < input.length; at++) {
    if (input[at] !== 0x0a) continue
    const isCrLf = at > start && input[at - 1] === 0x0d
    kinds.push({ isLong: at + 1 - start > lineBytesMax, isWhole: isCrLf && isBehindCrLf })
    isBehindCrLf = isCrLf
    start = at + 1
  }
  return kinds
}

export const target: FuzzTarget = {
  name: 'line-input',
  invariants: [
    'the same lines come out however the bytes are split',
    'a line has no control characters and is within its limit; what is held of an unfinished one too',
    'one status for each LF: too-long exactly when the line is, and never two lines out of one',
    'nothing is a line that ends in a bare LF or stands behind one',
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
    // When nothing came between its CR and its LF, an overlong line once counted as ended by a bare LF.
    'xaaaaaxaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\naaaaa\r\n',
  ],
  inputBytesMax: 300,
  run(input) {
    const whole = readLines([input])
    const kinds = kindsOf(input)
    assert.deepEqual(
      whole.map(one => one === 'too-long'),
      kinds.map(one => one.isLong),
    )
    for (const [at, one] of whole.entries())
      must(!one.startsWith('line') || kinds[at]!.isWhole, 'a line begins and ends with CRLF')
    for (const chunks of cutsOf(input)) assert.deepEqual(readLines(chunks), whole)
  },
}
