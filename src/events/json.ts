// The JSON form of an event: one flat object, as `postrider events`, `message show` and later webhooks print it.
//
// Place on the path: after it; the control plane reads stored events and shows them through here. Invariants: the same
// stored event always gives the same object, its id included; facts that cannot be read never stop a reader of the log.

import { formatId, formatMessageId } from '../base/index.ts'
import type { EventType, StoredEvent } from './event.ts'
import { unpackAccepted, unpackAction, unpackOutcomeFacts, unpackRejected } from './facts-codec.ts'
import type { Outcome } from './outcome.ts'

/** The version of the shape; it rises when a field changes its meaning. */
export const eventJsonVersion = 1

/** Names of the store's keys; null for a key that is not known. */
export interface EventNames {
  /** `acc_…` of an account's key. */
  accountId(accountKey: number): string | null
  /** Name of a stream's key. */
  streamName(streamKey: number): string | null
}

/** An outcome with its time as RFC 3339. */
export type OutcomeJson = Omit<Outcome, 'atMs'> & { readonly at: string }

/** A DKIM signature: the `d=` and `s=` of its field. */
export interface SignatureJson {
  readonly domain: string
  readonly selector: string
}

/** The fields that every event has; those of its type follow. */
export interface EventJson {
  readonly seq: number
  /** `evt_…`, made of time, node and seq: the same at each reading. */
  readonly id: string
  readonly version: number
  /** RFC 3339 in UTC, with milliseconds. */
  readonly at: string
  readonly type: EventType
  /** `msg_…`; null when no message came to be (`rejected`). */
  readonly messageId: string | null
  /** `msg_….n`; null when the event concerns the whole message or none. */
  readonly recipientId: string | null
  /** `acc_…` */
  readonly account: string | null
  /** Name of the stream. */
  readonly stream: string | null
  readonly node: number
  /** The facts of the type, flat (reference: docs/reference/events.md). */
  readonly [fact: string]: unknown
}

type FactsForm = 'accepted' | 'outcome' | 'rejected' | 'action'

/** Which facts a type carries. */
export const factsOfType: Readonly<Record<EventType, FactsForm>> = {
  accepted: 'accepted',
  deferred: 'outcome',
  delivered: 'outcome',
  bounced: 'outcome',
  expired: 'outcome',
  suppressed: 'outcome',
  cancelled: 'outcome',
  rejected: 'rejected',
  held: 'action',
  released: 'action',
  rerouted: 'action',
  retried: 'action',
  notified: 'action',
}

const readers: Readonly<Record<FactsForm, (facts: Buffer) => Readonly<Record<string, unknown>>>> = {
  accepted: facts => {
    const { signedBy, ...rest } = unpackAccepted(facts)
    return { ...rest, signedBy: signedBy.map(signatureJson) }
  },
  rejected: facts => ({ ...unpackRejected(facts) }),
  action: facts => ({ ...unpackAction(facts) }),
  outcome: facts => {
    const { forwardPath, attempt, outcome, nextAttemptAtMs, conversation } = unpackOutcomeFacts(facts)
    const nextAttemptAt = nextAttemptAtMs === 0 ? null : instant(nextAttemptAtMs)
    return { forwardPath, attempt, nextAttemptAt, outcome: outcomeJson(outcome), conversation }
  },
}

/** The JSON form of a stored event. */
export function eventJson(event: StoredEvent, names: EventNames): EventJson {
  const { seq, type, atMs, node, messageId, recipientNumber } = event
  const message = messageId === null ? null : formatMessageId(messageId)
  return {
    seq,
    id: eventId(event),
    version: eventJsonVersion,
    at: instant(atMs),
    type,
    messageId: message,
    recipientId: message === null || recipientNumber < 0 ? null : `${message}.${recipientNumber}`,
    account: names.accountId(event.accountKey),
    stream: names.streamName(event.streamKey),
    node,
    ...readFacts(event),
  }
}

/** Neither a domain nor a selector has an equals sign. */
function signatureJson(text: string): SignatureJson {
  const at = text.indexOf('=')
  return { domain: text.slice(0, at), selector: text.slice(at + 1) }
}

/** The JSON form of an outcome. */
export function outcomeJson(outcome: Outcome): OutcomeJson {
  const { atMs, ...rest } = outcome
  return { ...rest, at: instant(atMs) }
}

/** UUIDv7 layout (RFC 9562 §5.7): milliseconds, then the node where random bits may be, then `seq`. */
export function eventId(event: Pick<StoredEvent, 'atMs' | 'node' | 'seq'>): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(event.atMs, 0, 6)
  bytes.writeUInt16BE(0x7000 | (event.node & 0xfff), 6)
  bytes.writeBigUInt64BE((2n << 62n) | BigInt(event.seq), 8)
  return formatId('evt', bytes)
}

/** RFC 3339 in UTC, with milliseconds. */
export function instant(atMs: number): string {
  return new Date(atMs).toISOString()
}

function readFacts(event: StoredEvent): Readonly<Record<string, unknown>> {
  try {
    return readers[factsOfType[event.type]](event.facts)
  } catch {
    // A damaged row, or facts of a later version: the event itself is still true.
    return { isUnreadable: true }
  }
}
