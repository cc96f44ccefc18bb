import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { scanHeaderBlock } from './header-block.ts'
import {
  buildReceived,
  formatDateField,
  formatMessageIdentifier,
  formatMessageIdField,
  type ReceivedFacts,
} from './trace.ts'

const facts: ReceivedFacts = {
  helloName: 'app.client.test',
  clientAddress: '',
  hostname: 'mx.relay.test',
  protocol: 'smtp',
  isExtended: true,
  hasTls: true,
  isAuthenticated: true,
  isSmtpUtf8: false,
  id: 'msg_0123456789abcdefghjkmnpqrs',
  forwardPath: '',
  atMs: Date.UTC(2026, 10, 23, 8, 5, 9),
}

function received(change: Partial<ReceivedFacts>): string {
  return buildReceived({ ...facts, ...change }).toString()
}

function unfolded(change: Partial<ReceivedFacts>): string {
  return received(change).replaceAll('\r\n\t', ' ').trimEnd()
}

test('Received names client, server, protocol, id and date', () => {
  assert.equal(
    unfolded({}),
    'Received: from app.client.test by mx.relay.test with ESMTPSA id msg_0123456789abcdefghjkmnpqrs; Mon, 23 Nov 2026 08:05:09 +0000',
  )
})

const protocols: readonly (readonly [Partial<ReceivedFacts>, string])[] = [
  [{ isExtended: false, hasTls: false, isAuthenticated: false }, 'SMTP'],
  [{ hasTls: false, isAuthenticated: false }, 'ESMTP'],
  [{ hasTls: false }, 'ESMTPA'],
  [{ isAuthenticated: false }, 'ESMTPS'],
  [{}, 'ESMTPSA'],
  [{ isSmtpUtf8: true, hasTls: false, isAuthenticated: false }, 'UTF8SMTP'],
  [{ isSmtpUtf8: true }, 'UTF8SMTPSA'],
  [{ protocol: 'http', helloName: '' }, 'HTTP'],
]
for (const [change, name] of protocols) {
  test(`Received says with ${name}`, () => assert.match(unfolded(change), new RegExp(` with ${name} id `)))
}

test('the client address is there only when asked for, in the right literal form', () => {
  assert.match(unfolded({ clientAddress: '192.0.2.7' }), /from app\.client\.test \(\[192\.0\.2\.7\]\) by/)
  assert.match(unfolded({ clientAddress: '2001:db8::7' }), /\(\[IPv6:2001:db8::7\]\) by/)
  assert.match(unfolded({ clientAddress: '192.0.2.7', helloName: '' }), /from unknown \(\[192\.0\.2\.7\]\)/)
  for (const helloName of ['[192.0.2.7]', '192.0.2.7', '[IPv6:2001:db8::7]']) {
    assert.match(unfolded({ helloName }), /from unknown by/)
  }
})

test('the recipient is named when given, also a UTF-8 one, but only in a UTF-8 message', () => {
  assert.match(unfolded({ forwardPath: 'b@c.test' }), / for <b@c\.test>; Mon/)
  assert.equal(unfolded({ forwardPath: 'пример@c.test' }).includes(' for '), false)
  assert.match(unfolded({ forwardPath: 'пример@c.test', isSmtpUtf8: true }), / for <пример@c\.test>;/)
})

test('lines stay within 78 columns for ordinary names', () => {
  const text = received({
    clientAddress: '2001:db8:0:1:2:3:4:5',
    forwardPath: 'somebody.long@department.example.test',
  })
  for (const line of text.split('\r\n')) assert.ok(line.replace('\t', '        ').length <= 78, line)
})

const payloads = [
  '\r\nBcc: x@evil',
  '\nX: y',
  '\r',
  '\0',
  '\x0b',
  '\x85',
  '\u2028',
  '\ud800',
  'a'.repeat(1_000_000),
]
for (const payload of payloads) {
  test(`no field of ours can be broken by ${JSON.stringify(payload.slice(0, 20))}`, () => {
    const text = `x${payload}y`
    const fields = [
      buildReceived({
        ...facts,
        helloName: text,
        forwardPath: `${text.slice(0, 300)}@d.test`,
        isSmtpUtf8: true,
      }),
      buildReceived({ ...facts, clientAddress: text, id: text, hostname: text }),
      formatMessageIdField(text),
      formatMessageIdField(formatMessageIdentifier(text, text)),
      formatDateField(0),
    ]
    const scan = scanHeaderBlock(Buffer.concat(fields), { sizeBytesMax: 1e8, fieldsMax: 10 })
    assert.equal(scan.kind, 'scanned')
    if (scan.kind !== 'scanned') return
    const names = scan.block.fields.map(field => field.name)
    assert.deepEqual(names, ['received', 'received', 'message-id', 'message-id', 'date'])
    assert.deepEqual(scan.block.oddities, [])
    for (const line of scan.block.bytes.toString('latin1').split('\r\n')) assert.ok(line.length <= 998)
  })
}

test('any HELO name gives one ASCII field that ends in the date', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), helloName => {
      const text = received({ helloName })
      assert.match(text, /^Received: [\x20-\x7e\t\r\n]*2026 08:05:09 \+0000\r\n$/)
      assert.equal(/\r\n[^\t]/.test(text), false)
    }),
  )
})
