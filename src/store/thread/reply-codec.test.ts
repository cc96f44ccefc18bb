import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PackWriter } from '../../base/index.ts'
import type { LeasedMessage } from '../../queue/index.ts'
import { type Reply, readReplies, writeReply, writeReplyEnd } from './reply-codec.ts'

function leased(n: number, sentReversePath: string = 'app@example.com'): LeasedMessage {
  return {
    key: n,
    id: Buffer.alloc(16, n),
    accountKey: 1,
    streamKey: 2,
    reversePath: 'app@example.com',
    sentReversePath,
    isEightBit: true,
    isSmtpUtf8: false,
    isPlain: true,
    isUnsigned: n % 2 === 0,
    ret: 'HDRS',
    envelopeId: 'envelope',
    acceptedAtMs: 3,
    expiresAtMs: 4,
    priority: 5,
    sendsDsn: true,
    prefix: null,
    sizeBytes: 1000,
    content: { kind: 'segments', sizeBytes: 900, extents: [{ segment: 7, offsetBytes: 8, sizeBytes: 900 }] },
    recipients: [
      {
        number: 0,
        forwardPath: 'you@example.net',
        domain: 'example.net',
        notify: 8,
        originalRecipient: '',
        attempts: 1,
        route: '',
        isDelayNotified: false,
        isUncertain: true,
      },
    ],
    recipientCount: 1,
  }
}

function overTheLine(replies: readonly Reply[]): Reply[] {
  const packet = new PackWriter(64)
  for (const reply of replies) writeReply(packet, reply)
  writeReplyEnd(packet)
  return readReplies(packet.view().buffer as ArrayBuffer)
}

test('answers arrive as they were written', () => {
  const replies: Reply[] = [
    { kind: 'stored', id: 1, key: 10 },
    { kind: 'failed', id: 2, why: 'full', isContentBad: true },
    { kind: 'settled', id: 3 },
    { kind: 'broken', id: 4, why: 'locked', isPassing: true },
    { kind: 'leased', id: 5, messages: [leased(1), leased(2, 'bounces@example.net')] },
  ]
  assert.deepEqual(overTheLine(replies), replies)
})

test('a leased message keeps hardly more memory alive than its own bytes', () => {
  const messages = Array.from({ length: 50 }, (_, i) => leased(i))
  const [reply] = overTheLine([{ kind: 'leased', id: 1, messages }])
  assert.equal(reply?.kind, 'leased')
  for (const { id } of reply.messages) assert.ok(id.buffer.byteLength <= 32 * 16)
  assert.deepEqual(reply.messages, messages)
})

test('a packet of a thousand leased messages is hardly larger than they are', () => {
  const content = { kind: 'inline', sizeBytes: 900 } as const
  const messages = Array.from({ length: 1_000 }, (_, i) => ({ ...leased(i), content }))
  const packet = new PackWriter()
  writeReply(packet, { kind: 'leased', id: 1, messages })
  writeReplyEnd(packet)
  assert.ok(packet.view().buffer.byteLength < 1.2 * packet.sizeBytes, `${packet.view().buffer.byteLength}`)
})
