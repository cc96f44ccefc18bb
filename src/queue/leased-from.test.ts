import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewMessage } from './index.ts'
import { leasedFrom } from './index.ts'

test('a message handed on without a lease has what a lease gives, and nothing more that stays in memory', () => {
  const content = Buffer.from('Subject: hello\r\n\r\nbody\r\n')
  const message: NewMessage = {
    id: Buffer.alloc(16, 1),
    accountKey: 1,
    streamKey: 2,
    reversePath: 'ann@a.test',
    sentReversePath: 'ann@a.test',
    isEightBit: true,
    isSmtpUtf8: false,
    isPlain: true,
    ret: 'HDRS',
    envelopeId: 'one',
    acceptedAtMs: 3,
    expiresAtMs: 4,
    priority: 5,
    sendsDsn: true,
    prefix: Buffer.from('Received: from here\r\n'),
    sizeBytes: 60,
    content: { kind: 'inline', parts: [content], sizeBytes: content.length },
    recipients: [
      { number: 0, forwardPath: 'bob@b.test', domain: 'b.test', notify: 8, originalRecipient: 'rfc822;x' },
    ],
    startState: 'leased',
    startReason: 'first-attempt',
    firstAttemptAtMs: 3,
    acceptedFacts: Buffer.from('facts'),
  }
  const {
    acceptedFacts: _facts,
    startState: _state,
    startReason: _reason,
    firstAttemptAtMs: _at,
    ...envelope
  } = message
  assert.deepEqual(leasedFrom(message, 7), {
    ...envelope,
    key: 7,
    isUnsigned: false,
    content: { kind: 'inline', sizeBytes: content.length },
    recipients: [
      { ...message.recipients[0], attempts: 0, route: '', isDelayNotified: false, isUncertain: false },
    ],
    recipientCount: 1,
  })
})
