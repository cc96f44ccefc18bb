// MAIL and RCPT as they are written: nothing injected, nothing the peer did not offer.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { smtpReply } from '../reply.ts'
import { type PeerCapabilities, parseCapabilities } from './capabilities.ts'
import { envelopeCommands } from './envelope.ts'
import type { SmtpTransaction } from './transaction-types.ts'

const everything = parseCapabilities(smtpReply(250, '', 'x\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN'))
const nothing = parseCapabilities(null)

function transaction(changes: Partial<SmtpTransaction> = {}): SmtpTransaction {
  return {
    reversePath: 'from@a.test',
    recipients: [{ forwardPath: 'to@b.test' }],
    parameters: { isEightBit: false, isSmtpUtf8: false },
    content: { parts: [] },
    ...changes,
  }
}

function commands(given: SmtpTransaction, peer: PeerCapabilities, sizeBytes = 10): readonly string[] {
  const made = envelopeCommands(given, sizeBytes, peer)
  assert.ok('commands' in made, JSON.stringify(made))
  return made.commands
}

function refusal(given: SmtpTransaction, peer: PeerCapabilities, sizeBytes = 10): string {
  const made = envelopeCommands(given, sizeBytes, peer)
  assert.ok('code' in made, JSON.stringify(made))
  return made.code
}

const dsn = transaction({
  recipients: [
    {
      forwardPath: 'to@b.test',
      notify: ['FAILURE', 'DELAY'],
      originalRecipient: { type: 'rfc822', address: 'a+b=c@d.test' },
    },
    { forwardPath: 'never@b.test', notify: [] },
    { forwardPath: 'u@b.test', originalRecipient: { type: 'utf-8', address: 'жa@d.test' } },
    { forwardPath: 'v@b.test', originalRecipient: { type: 'utf-8', address: 'a+b@d.test' } },
  ],
  parameters: { isEightBit: false, isSmtpUtf8: false, ret: 'HDRS', envelopeId: 'id 1\r\nRCPT' },
})

test('DSN parameters go to a peer that offers DSN, encoded', () => {
  assert.deepEqual(commands(dsn, everything), [
    'MAIL FROM:<from@a.test> SIZE=10 RET=HDRS ENVID=id+201+0D+0ARCPT\r\n',
    'RCPT TO:<to@b.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@d.test\r\n',
    'RCPT TO:<never@b.test> NOTIFY=NEVER\r\n',
    'RCPT TO:<u@b.test> ORCPT=utf-8;\\x{436}a@d.test\r\n',
    'RCPT TO:<v@b.test> ORCPT=utf-8;a\\x{2B}b@d.test\r\n',
  ])
})

test('no parameter goes to a peer that offers nothing', () => {
  assert.deepEqual(commands(dsn, nothing), [
    'MAIL FROM:<from@a.test>\r\n',
    'RCPT TO:<to@b.test>\r\n',
    'RCPT TO:<never@b.test>\r\n',
    'RCPT TO:<u@b.test>\r\n',
    'RCPT TO:<v@b.test>\r\n',
  ])
})

test('BODY and SMTPUTF8 are named when needed, and a peer without them is not sent to', () => {
  const eightBit = transaction({
    parameters: { isEightBit: true, isSmtpUtf8: true },
    reversePath: 'ж@a.test',
  })
  assert.equal(commands(eightBit, everything)[0], 'MAIL FROM:<ж@a.test> SIZE=10 BODY=8BITMIME SMTPUTF8\r\n')
  assert.equal(refusal(eightBit, { ...everything, hasSmtpUtf8: false }), 'PEER_LACKS_SMTPUTF8')
  assert.equal(refusal(eightBit, { ...everything, hasEightBitMime: false }), 'PEER_LACKS_8BITMIME')
})

test('a message above the announced SIZE is not sent', () => {
  assert.equal(refusal(transaction(), everything, 1_001), 'SIZE_EXCEEDED')
  assert.equal(commands(transaction(), { ...everything, sizeBytesMax: null }, 1_001).length, 2)
})

test('the null reverse-path is written, an empty forward-path and an empty list are refused', () => {
  assert.equal(commands(transaction({ reversePath: '' }), nothing)[0], 'MAIL FROM:<>\r\n')
  assert.equal(refusal(transaction({ recipients: [{ forwardPath: '' }] }), nothing), 'UNSAFE_PATH')
  assert.equal(refusal(transaction({ recipients: [] }), nothing), 'NO_RECIPIENTS')
})

test('paths that would leave their brackets are refused', () => {
  const bad = [
    'a@b\r\nRCPT TO:<v@x>',
    'a@b\n',
    'a@b\0',
    'a@b> SIZE=1 <c@d',
    'a b@c',
    '<a@b>',
    'a@b\u0085',
    '"a@b',
    '"a\\\r"@b',
    'ж@b.test',
    '\ud800@b.test',
    'a@b\u007f',
    '"a\n"@b',
  ]
  for (const path of bad) {
    assert.equal(refusal(transaction({ reversePath: path }), everything), 'UNSAFE_PATH', JSON.stringify(path))
    const recipients = [{ forwardPath: 'ok@b.test' }, { forwardPath: path }]
    assert.equal(refusal(transaction({ recipients }), everything), 'UNSAFE_PATH', JSON.stringify(path))
  }
})

test('quoted local parts are written as they are', () => {
  for (const path of ['"a b"@c.test', '"a\\"b"@c.test', '"<x>"@c.test', 'postmaster', 'a@[127.0.0.1]']) {
    assert.equal(commands(transaction({ reversePath: path }), nothing)[0], `MAIL FROM:<${path}>\r\n`)
  }
})

test('whatever the path, a command is one line and its only unquoted brackets are ours', () => {
  const unit = fc.constantFrom('a', '@', '.', '"', '\\', ' ', '<', '>', '\r', '\n', '\0', 'ж', '\u0085')
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 12 }), fc.boolean(), (path, isSmtpUtf8) => {
      const made = envelopeCommands(
        transaction({ reversePath: path, parameters: { isEightBit: false, isSmtpUtf8 } }),
        1,
        everything,
      )
      if ('code' in made) return
      const line = made.commands[0]!
      assert.match(line, /^MAIL FROM:<[^\r\n\0\u0085]*> SIZE=1( SMTPUTF8)?\r\n$/)
      const unquoted = line.replace(/"(?:\\.|[^"\\])*"/g, '')
      assert.equal(unquoted.split('<').length, 2)
      assert.equal(unquoted.split('>').length, 2)
      assert.equal(unquoted.split(' ').length, isSmtpUtf8 ? 4 : 3)
    }),
    { numRuns: 2_000 },
  )
})

test('an ENVID of any text is one word that decodes to what it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), envelopeId => {
      const parameters = { isEightBit: false, isSmtpUtf8: false, envelopeId }
      const line = commands(transaction({ parameters }), everything)[0]!
      const encoded = /^MAIL FROM:<from@a\.test> SIZE=10 ENVID=([!-*,-<>-~+]+)\r\n$/.exec(line)?.[1]
      const bytes = encoded?.replace(/\+([0-9A-F]{2})/g, (_, hex) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
      assert.equal(Buffer.from(bytes ?? '', 'latin1').toString('utf8'), envelopeId.toWellFormed())
    }),
  )
})
