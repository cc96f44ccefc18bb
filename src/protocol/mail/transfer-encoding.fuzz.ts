// Fuzz target: quoted-printable and base64 on any bytes.

import assert from 'node:assert/strict'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import {
  decodeQuotedPrintable,
  encodeBase64,
  encodeQuotedPrintable,
  rewrapBase64,
} from './transfer-encoding.ts'

const linesFit = (bytes: Buffer): boolean =>
  bytes
    .toString('latin1')
    .split('\r\n')
    .every(line => line.length <= 76)

export const target: FuzzTarget = {
  name: 'transfer-encoding',
  invariants: [
    'what is encoded is decoded to the same bytes; lines are at most 76 long, ASCII and never end in a space',
    'decoding takes anything; what was decoded can be encoded and decoded again',
  ],
  dictionary: [
    '=',
    '=\r\n',
    '=0D=0A',
    '= \r\n',
    ' \r\n',
    '\t\r\n',
    '=3D',
    '=e9',
    '\r\n',
    '\r',
    '\n',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  ],
  seeds: [
    'caf\xc3\xa9 \r\n',
    '=E9=\r\nx = y\t\r\n',
    'a'.repeat(80),
    '\r\n\r\n \r\n',
    '=\r\n=',
    'QUJD\r\nREVG',
  ],
  inputBytesMax: 400,
  run(input) {
    const encoded = encodeQuotedPrintable(input)
    const text = encoded.toString('latin1')
    must(linesFit(encoded) && /^[\r\n\t -~]*$/.test(text), 'quoted-printable is ASCII in short lines')
    must(
      !/[ \t](?:\r\n|$)/.test(text) && !/\r(?!\n)|(?<!\r)\n/.test(text),
      'no line ends in a space, and all in CRLF',
    )
    assert.deepEqual(decodeQuotedPrintable(encoded), input)
    const decoded = decodeQuotedPrintable(input)
    must(decoded.length <= input.length, 'decoding does not make it longer')
    assert.deepEqual(decodeQuotedPrintable(encodeQuotedPrintable(decoded)), decoded)
    const base64 = encodeBase64(input)
    must(linesFit(base64), 'base64 comes in short lines')
    assert.deepEqual(Buffer.from(base64.toString('latin1'), 'base64'), input)
    const rewrapped = rewrapBase64(input)
    must(linesFit(rewrapped), 'base64 that is wrapped anew comes in short lines')
    assert.deepEqual(rewrapBase64(rewrapped), rewrapped)
    assert.deepEqual(rewrapBase64(base64), base64)
  },
}
