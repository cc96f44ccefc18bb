// Fuzz target: what the client sends as DATA, read back by the server's scanner: the round trip of dot stuffing.

import assert from 'node:assert/strict'
import { cutsOf, type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { ContentScanner as ServerScanner } from '../server/content-scanner.ts'
import { ContentScanner, stuffed } from './content.ts'

/** The bytes of DATA for these parts, or null when the client refuses to send them. */
function asData(parts: readonly Buffer[]): Buffer | null {
  const scanner = new ContentScanner()
  const wire: Buffer[] = []
  for (const part of parts) {
    const isAtLineStart = scanner.isAtLineStart
    scanner.scan(part)
    if (scanner.fault !== null) return null
    wire.push(scanner.dots > 0 ? stuffed(part, isAtLineStart, scanner.dots) : part)
  }
  scanner.finish()
  if (scanner.fault !== null) return null
  return Buffer.concat([...wire, Buffer.from(scanner.isAtLineStart ? '.\r\n' : '\r\n.\r\n')])
}

export const target: FuzzTarget = {
  name: 'dot-stuffing',
  invariants: [
    'content with a bare CR, a bare LF or a NUL is refused, all other is sent',
    'what is sent has one end of data, at its end, and is read back as the content (with a line end at its end)',
    'the same bytes leave however the content is split into parts',
  ],
  dictionary: ['\r\n.', '\r\n..\r\n', '.', '\r\n.\r\n', '\n', '\r', '\0', '\r\n'],
  seeds: ['a\r\n.b\r\n..\r\n.\r\n', '.', '', 'a', '\r\n.\r\n', '\r'],
  inputBytesMax: 200,
  run(input) {
    const wire = asData([input])
    const isSafe = !/\r(?!\n)|(?<!\r)\n|\0/.test(input.toString('latin1'))
    assert.equal(wire !== null, isSafe)
    for (const parts of cutsOf(input)) assert.deepEqual(asData(parts), wire)
    if (wire === null) return
    must(
      /(?:^|\r\n)\.\r\n/.exec(wire.toString('latin1'))!.index >= wire.length - 5,
      'there is one end of data',
    )
    const reader = new ServerScanner({ kind: 'data', mendsBareLf: false })
    assert.equal(reader.scan(wire, 0, wire.length), wire.length)
    const read = (reader.take() ?? Buffer.alloc(0)).toString('latin1')
    const sent = input.toString('latin1')
    assert.equal(read, sent === '' || sent.endsWith('\r\n') ? sent : `${sent}\r\n`)
  },
}
