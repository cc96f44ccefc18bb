import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseId } from '../base/index.ts'
import type { StoredEvent } from './event.ts'
import {
  packAccepted,
  packAction,
  packBothOutcomes,
  packOutcome,
  packOutcomeFacts,
  packRejected,
  unpackOutcomeFacts,
} from './facts-codec.ts'
import { type EventNames, eventId, eventJson } from './json.ts'
import type { Outcome } from './outcome.ts'
import { eventsReference } from './reference.ts'

const names: EventNames = {
  accountId: key => (key === 1 ? 'acc_one' : null),
  streamName: key => (key === 1 ? 'default' : null),
}

const outcome: Outcome = {
  kind: 'bounced',
  code: 550,
  enhancedCode: '5.1.1',
  text: 'no such user',
  remoteHost: 'mx.receiver.test',
  remoteAddress: '127.0.0.2:25',
  stage: 'rcpt',
  tls: '',
  category: 'unknown-recipient',
  scope: 'recipient',
  source: 'reply',
  atMs: 1_800_000_000_500,
  isUncertain: false,
}

function stored(change: Partial<StoredEvent>): StoredEvent {
  return {
    seq: 7,
    node: 3,
    type: 'accepted',
    atMs: 1_800_000_000_123,
    accountKey: 1,
    streamKey: 1,
    messageId: Buffer.alloc(16, 1),
    recipientNumber: -1,
    facts: Buffer.alloc(0),
    ...change,
  }
}

test('an outcome event is one flat object with the outcome nested and times in RFC 3339', () => {
  const facts = packOutcomeFacts({
    forwardPath: 'a@receiver.test',
    attempt: 2,
    outcome,
    nextAttemptAtMs: 0,
    conversation: ['> RCPT', '< 550'],
  })
  const { atMs: _, ...rest } = outcome
  assert.deepEqual(eventJson(stored({ type: 'bounced', recipientNumber: 4, facts }), names), {
    seq: 7,
    id: eventId({ seq: 7, node: 3, atMs: 1_800_000_000_123 }),
    version: 1,
    at: '2027-01-15T08:00:00.123Z',
    type: 'bounced',
    messageId: 'msg_aeaqcaibaeaqcaibaeaqcaibae',
    recipientId: 'msg_aeaqcaibaeaqcaibaeaqcaibae.4',
    account: 'acc_one',
    stream: 'default',
    node: 3,
    forwardPath: 'a@receiver.test',
    attempt: 2,
    nextAttemptAt: null,
    outcome: { ...rest, at: '2027-01-15T08:00:00.500Z' },
    conversation: ['> RCPT', '< 550'],
  })
})

test('an outcome is packed in its facts as it is packed on its own', () => {
  const facts = { forwardPath: 'a@ä.test', attempt: 2, outcome, nextAttemptAtMs: 5, conversation: ['< 550'] }
  const packed = packBothOutcomes(facts)
  assert.deepEqual(packed.outcome, packOutcome(outcome))
  assert.deepEqual(unpackOutcomeFacts(packed.facts), facts)
})

test('accepted, rejected and action events carry the facts of their type', () => {
  const accepted = packAccepted({
    reversePath: 's@example.test',
    forwardPaths: ['a@receiver.test'],
    sizeBytes: 12,
    clientAddress: '127.0.0.1',
    helloName: 'app',
    door: 'smtp',
    username: 'apikey',
    headerMessageId: '<1@x>',
    signedBy: ['example.test=s'],
    tls: '',
  })
  const { forwardPaths, signedBy, recipientId } = eventJson(stored({ facts: accepted }), names)
  assert.deepEqual(
    { forwardPaths, signedBy, recipientId },
    {
      forwardPaths: ['a@receiver.test'],
      signedBy: [{ domain: 'example.test', selector: 's' }],
      recipientId: null,
    },
  )
  const rejected = packRejected({
    reversePath: '',
    forwardPath: '',
    code: 550,
    enhancedCode: '5.7.1',
    text: 'not yours',
    clientAddress: '127.0.0.1',
    username: '',
  })
  const refusal = eventJson(
    stored({ type: 'rejected', messageId: null, accountKey: 0, streamKey: 9, facts: rejected }),
    names,
  )
  const { code, messageId, account, stream } = refusal
  assert.deepEqual(
    { code, messageId, account, stream },
    { code: 550, messageId: null, account: null, stream: null },
  )
  const held = packAction({ forwardPath: 'a@receiver.test', by: 'operator', note: 'wait' })
  const { by, note } = eventJson(stored({ type: 'held', recipientNumber: 0, facts: held }), names)
  assert.deepEqual({ by, note }, { by: 'operator', note: 'wait' })
})

test('an event whose facts cannot be read is still shown', () => {
  const json = eventJson(stored({ type: 'delivered', facts: Buffer.from([1, 255, 255]) }), names)
  assert.equal(json['isUnreadable'], true)
  assert.equal(json.seq, 7)
})

test('event ids are the same at each reading, differ between events, and hold time, node and seq', () => {
  const anEvent = fc.record({
    atMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    node: fc.integer({ min: 0, max: 4095 }),
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  })
  fc.assert(
    fc.property(anEvent, event => {
      assert.equal(eventId(event), eventId({ ...event }))
      const bytes = parseId('evt', eventId(event))
      assert.ok(bytes !== null)
      assert.equal(bytes.readUIntBE(0, 6), event.atMs)
      assert.equal(bytes.readUInt16BE(6), 0x7000 | event.node)
      assert.equal(bytes.readBigUInt64BE(8), 0x8000000000000000n | BigInt(event.seq))
    }),
  )
})

test('the reference page has a section for every type of event', () => {
  const page = eventsReference()
  for (const type of ['accepted', 'delivered', 'rejected', 'notified'])
    assert.match(page, new RegExp(`^## ${type}$`, 'm'))
})

test('the reference page says of each type that nothing writes that it is reserved, and of no other', () => {
  const reserved = [...eventsReference().matchAll(/^## (\w+)\n\nReserved, not written in this version: /gm)]
  assert.deepEqual(
    reserved.map(([, type]) => type),
    ['suppressed', 'cancelled', 'notified'],
  )
})
