// Packets to the store thread: how large they are made.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PackWriter } from '../../base/index.ts'
import type { Settlement } from '../../queue/index.ts'
import { readRequests, requestKinds, writeSettle } from './request-codec.ts'

const deferred = (messageKey: number): Settlement => ({
  messageKey,
  messageId: Buffer.alloc(16, messageKey),
  recipientNumber: 0,
  recipientCount: 1,
  accountKey: 1,
  streamKey: 1,
  attempts: 1,
  eventType: 'deferred',
  facts: Buffer.alloc(350, 1),
  atMs: 1,
  nextAttemptAtMs: 2,
  lastOutcome: Buffer.alloc(160, 2),
  isDelayNotified: false,
})

test('a packet of a thousand settlements is hardly larger than they are', () => {
  const settlements = Array.from({ length: 1_000 }, (_, i) => deferred(i))
  const packet = new PackWriter(16 * 1024)
  writeSettle(packet, new PackWriter(512), 1, { settlements, giveBacks: [], messages: [], events: [] })
  packet.u8(requestKinds.end)
  const bytes = packet.view().buffer as ArrayBuffer
  assert.ok(bytes.byteLength < 1.2 * packet.sizeBytes, `${bytes.byteLength} for ${packet.sizeBytes}`)
  const [request] = readRequests(bytes)
  assert.equal(request?.kind, 'settle')
  assert.deepEqual(request.batch.settlements.at(-1)?.facts, settlements.at(-1)?.facts)
})
