/** Messages and outcomes as the store gets them from intake and delivery, for benches that speak to its port directly. */

import { randomBytes } from 'node:crypto'
import { IdGenerator } from '../src/base/index.ts'
import { type Outcome, packAccepted, packOutcome, packOutcomeFacts } from '../src/events/index.ts'
import type { NewContent, NewMessage, Settlement } from '../src/queue/index.ts'

const dayMs = 86_400_000
const ids = new IdGenerator(() => Date.now(), randomBytes)
const sender = 'sender@example.com'

/** Where a message belongs and what differs from message to message. */
export interface StoredMessageOptions {
  readonly accountKey: number
  readonly streamKey: number
  readonly localPart: string
  readonly domain: string
  readonly prefix: Buffer
  readonly content: NewContent
}

/** One message to one recipient, leased at accept as nearly all are. */
export function storedMessage(options: StoredMessageOptions): NewMessage {
  const { accountKey, streamKey, localPart, domain, prefix, content } = options
  const nowMs = Date.now()
  const forwardPath = `${localPart}@${domain}`
  const sizeBytes = prefix.length + content.sizeBytes
  return {
    id: ids.next(),
    accountKey,
    streamKey,
    reversePath: sender,
    sentReversePath: sender,
    isEightBit: false,
    isSmtpUtf8: false,
    ret: '',
    envelopeId: '',
    acceptedAtMs: nowMs,
    expiresAtMs: nowMs + 5 * dayMs,
    priority: 5,
    sendsDsn: false,
    prefix,
    sizeBytes,
    content,
    recipients: [{ number: 0, forwardPath, domain, notify: 8, originalRecipient: '' }],
    startState: 'leased',
    firstAttemptAtMs: 0,
    acceptedFacts: packAccepted({
      reversePath: sender,
      forwardPaths: [forwardPath],
      sizeBytes,
      clientAddress: '192.0.2.1:4711',
      helloName: 'app.example.com',
      door: 'smtp',
      username: 'apikey',
      headerMessageId: `<${localPart}@example.com>`,
      signedBy: ['example.com=pr1'],
      tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
    }),
  }
}

/** The next hop took it. */
export function deliveredOutcome(message: NewMessage, messageKey: number): Settlement {
  return settled(message, messageKey, {
    eventType: 'delivered',
    nextAttemptAtMs: 0,
    conversation: [`> MAIL FROM:<${sender}>`, '< 250 2.1.0 Ok', '> .', '< 250 2.0.0 queued as 4711'],
    outcome: {
      kind: 'delivered',
      code: 250,
      enhancedCode: '2.0.0',
      text: 'queued as 4711',
      remoteHost: 'mx.example.net',
      remoteAddress: '192.0.2.25:25',
      stage: 'data',
      tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
      category: 'delivered',
      scope: 'recipient',
      source: 'reply',
      atMs: Date.now(),
      isUncertain: false,
    },
  })
}

/** Nobody listens there; waits for its next attempt with a reason. */
export function deferredOutcome(
  message: NewMessage,
  messageKey: number,
  nextAttemptAtMs: number,
): Settlement {
  return settled(message, messageKey, {
    eventType: 'deferred',
    nextAttemptAtMs,
    conversation: [],
    outcome: {
      kind: 'deferred',
      code: 0,
      enhancedCode: '4.4.1',
      text: 'connect: connection refused',
      remoteHost: 'customer.mail.protection.outlook.com',
      remoteAddress: '127.0.8.1:25',
      stage: 'connect',
      tls: '',
      category: 'network',
      scope: 'domain',
      source: 'local',
      atMs: Date.now(),
      isUncertain: false,
    },
  })
}

function settled(
  message: NewMessage,
  messageKey: number,
  result: {
    readonly eventType: 'delivered' | 'deferred'
    readonly nextAttemptAtMs: number
    readonly conversation: readonly string[]
    readonly outcome: Outcome
  },
): Settlement {
  const { eventType, nextAttemptAtMs, conversation, outcome } = result
  const { forwardPath } = message.recipients[0]!
  const isDeferred = eventType === 'deferred'
  return {
    messageKey,
    messageId: message.id,
    recipientNumber: 0,
    recipientCount: 1,
    accountKey: message.accountKey,
    streamKey: message.streamKey,
    attempts: 1,
    eventType,
    atMs: outcome.atMs,
    nextAttemptAtMs,
    ...(isDeferred ? { reason: 'site-unreachable' as const } : {}),
    lastOutcome: isDeferred ? packOutcome(outcome) : Buffer.alloc(0),
    isDelayNotified: false,
    facts: packOutcomeFacts({ forwardPath, attempt: 1, nextAttemptAtMs, conversation, outcome }),
  }
}
