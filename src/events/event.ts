// The event: a durable fact about a message or recipient, in one append-only log with a sequence number.
//
// An event is written in the same commit as the state change it tells of. `seq` is positive, below 2^53 and in
// commit-visibility order. Readers (CLI, later webhooks and statistics) keep a cursor: the last `seq` they have seen.

import type { Outcome } from './outcome.ts'

/** Every type with its number in the store; numbers are never reused. */
export const eventTypes = {
  accepted: 1,
  deferred: 2,
  delivered: 3,
  bounced: 4,
  expired: 5,
  held: 6,
  released: 7,
  rejected: 8,
  suppressed: 9,
  cancelled: 10,
  rerouted: 11,
  retried: 12,
  notified: 13,
} as const

/** The name of an event type. */
export type EventType = keyof typeof eventTypes

/** What `accepted` tells. */
export interface AcceptedFacts {
  readonly reversePath: string
  readonly forwardPaths: readonly string[]
  readonly sizeBytes: number
  /** The client's address as we saw it; kept here, not in the outward Received header. */
  readonly clientAddress: string
  readonly helloName: string
  /** `smtp`, `http` or `local` (a DSN of ours). */
  readonly door: string
  /** Username of the credential, '' for a relay network. */
  readonly username: string
  /** Message-ID header value with brackets. */
  readonly headerMessageId: string
  /** `domain=selector` of each DKIM signature made at intake; JSON shows them as objects. */
  readonly signedBy: readonly string[]
  /** TLS of the client's session, '' for none. */
  readonly tls: string
}

/** What `rejected` tells: a refusal at the door of an authenticated client or relay network. */
export interface RejectedFacts {
  readonly reversePath: string
  readonly forwardPath: string
  readonly code: number
  readonly enhancedCode: string
  readonly text: string
  readonly clientAddress: string
  readonly username: string
}

/** What an outcome event (`deferred`, `delivered`, `bounced`, `expired`, …) tells. */
export interface OutcomeFacts {
  readonly forwardPath: string
  /** Which attempt it was, from 1; 0 when none was made. */
  readonly attempt: number
  readonly outcome: Outcome
  /** When the next attempt is due; 0 when none follows. */
  readonly nextAttemptAtMs: number
  /** One line an SMTP step (`>` ours, `<` theirs), shortened: the conversation of this attempt. */
  readonly conversation: readonly string[]
}

/** What the operator's actions (`held`, `released`, `rerouted`, `retried`) and `notified` tell. */
export interface ActionFacts {
  readonly forwardPath: string
  /** Who or what did it, for instance `operator` or `restore`. */
  readonly by: string
  readonly note: string
}

/** An event on its way into the log. The store gives it its `seq`. */
export interface NewEvent {
  readonly type: EventType
  readonly atMs: number
  /** Store keys; 0 when it concerns none. */
  readonly accountKey: number
  readonly streamKey: number
  /** 16 bytes, or null for `rejected`. */
  readonly messageId: Buffer | null
  /** Recipient number, or -1 when it concerns the whole message. */
  readonly recipientNumber: number
  /** Packed facts of this type (facts-codec.ts). */
  readonly facts: Buffer
}

/** An event as read from the log. */
export interface StoredEvent extends NewEvent {
  readonly seq: number
  readonly node: number
}

/** Reads the log. */
export interface EventReader {
  /** Events with `seq` above `afterSeq`, oldest first, at most `limit`. */
  list(afterSeq: number, limit: number): StoredEvent[]
  /** All events of one message, oldest first, at most `limit`. */
  ofMessage(messageId: Buffer, limit: number): StoredEvent[]
  /** The highest sequence number so far, 0 when the log is empty. */
  lastSeq(): number
}
