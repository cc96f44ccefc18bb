// Fuzz target: the fields that we write about what a client says of itself.

import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { scanHeaderBlock } from './header-block.ts'
import { buildReceived, formatMessageIdentifier, formatMessageIdField } from './trace.ts'

function checkField(bytes: Buffer, name: string): void {
  const scan = scanHeaderBlock(bytes)
  must(scan.kind === 'scanned', 'the field fits a header')
  if (scan.kind !== 'scanned') return
  must(scan.block.fields.length === 1 && scan.block.fields[0]!.name === name, 'one field comes out')
  must(scan.block.oddities.length === 0 && !scan.block.hasBlankLine, 'it is well formed')
  must(
    bytes
      .toString('latin1')
      .split('\r\n')
      .every(line => line.length <= 998),
    'no line is too long',
  )
}

export const target: FuzzTarget = {
  name: 'trace',
  invariants: [
    'whatever name, address or path goes in, exactly one well-formed field comes out, in lines of at most 998 octets',
    'without SMTPUTF8 it is ASCII',
  ],
  dictionary: [
    '\r\n',
    '\n',
    '[127.0.0.1]',
    '(',
    ')',
    ';',
    '<',
    '>',
    '\x1e',
    '\xc3\xa9',
    '\xe2\x80\xa8',
    ' for <x@y>',
    'a'.repeat(100),
  ],
  seeds: [
    'client.test\x1ea@b.test\x1eid',
    'x (y)\r\nBcc: z\x1e"a\r\nb"@c.test\x1e<a@b>',
    '\xc3\xa9\x1e\xc3\xa9@b.test\x1e\xc3\xa9',
  ],
  inputBytesMax: 600,
  longBytesMax: 8192,
  run(input) {
    const [helloName = '', forwardPath = '', id = ''] = input.toString('utf8').split('\x1e')
    for (const isSmtpUtf8 of [false, true]) {
      for (const clientAddress of ['', '192.0.2.1']) {
        const facts = { isExtended: true, hasTls: true, isAuthenticated: false, atMs: 1_700_000_000_000 }
        const bytes = buildReceived({
          ...facts,
          helloName: helloName.slice(0, 2048),
          clientAddress,
          hostname: 'mx.test',
          protocol: 'smtp',
          isSmtpUtf8,
          id: 'msg_a',
          // A path is parsed before it gets here.
          forwardPath: Buffer.byteLength(forwardPath) <= 254 ? forwardPath : '',
        })
        checkField(bytes, 'received')
        must(isSmtpUtf8 || /^[\x00-\x7f]*$/.test(bytes.toString('latin1')), 'without SMTPUTF8 it is ASCII')
      }
    }
    checkField(formatMessageIdField(id), 'message-id')
    must(
      /^<[A-Za-z0-9._-]*@[A-Za-z0-9._-]*>$/.test(formatMessageIdentifier(id, helloName)),
      'a message id is plain',
    )
  },
}
