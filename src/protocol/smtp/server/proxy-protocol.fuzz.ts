// Fuzz target: the PROXY header.

import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { parseProxyHeader } from './proxy-protocol.ts'

const v2 = '\r\n\r\n\0\r\nQUIT\n'

export const target: FuzzTarget = {
  name: 'proxy-header',
  invariants: [
    'the verdict on all bytes is the verdict on the first ones that were enough: bytes that follow change nothing',
    'what is complete has an IP address and a port, or says that there is none',
    'it is decided after at most 4,112 bytes',
  ],
  dictionary: [
    v2,
    'PROXY TCP4 ',
    'PROXY TCP6 ',
    'PROXY UNKNOWN',
    '127.0.0.1',
    '::1',
    ' 1 2\r\n',
    '\r\n',
    '\x21\x11',
    '\x21\x21',
    '\x20\x00',
  ],
  seeds: [
    'PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\nEHLO',
    'PROXY TCP6 2001:db8::1 ::1 1000 25\r\n',
    'PROXY UNKNOWN\r\n',
    `${v2}\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x02\x10\x00\x00\x19`,
    `${v2}\x21\x21\x00\x24${'\x20\x01\x0d\xb8'.repeat(8)}\x10\x00\x00\x19`,
    `${v2}\x20\x00\x00\x00`,
  ],
  inputBytesMax: 200,
  longBytesMax: 8192,
  run(input) {
    const whole = parseProxyHeader(input)
    if (whole.kind === 'complete') {
      must(whole.bytes <= input.length, 'the header lies inside the bytes')
      const { source } = whole
      must(source === null || isIP(source.address) !== 0, 'the source is an address')
      must(source === null || (source.port >= 0 && source.port <= 65_535), 'the port is a port')
    }
    must(whole.kind !== 'incomplete' || input.length < 4112, 'it is decided in time')
    for (let length = 0; length < Math.min(input.length, 300); length++) {
      const part = parseProxyHeader(input.subarray(0, length))
      if (part.kind !== 'incomplete') assert.equal(part.kind, whole.kind)
      if (part.kind === 'complete') assert.deepEqual(part, whole)
    }
  },
}
