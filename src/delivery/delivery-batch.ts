// A ready batch with delivery's own bookkeeping: how many recipients of its message are still in hand here.
//
// The room of the ready queue is let go when the last of them is settled or given back.

import type { LeasedMessage, PrefixedMessage } from '../queue/index.ts'
import type { ReadyBatch } from '../queue/ready/index.ts'
import type { ChangedContent } from './adapt.ts'

/** One message in this thread's hands. */
export interface InHand {
  /** Recipients neither settled nor given back. */
  open: number
  /** When the message expires, monotonic: a jump of the wall clock does not give it up. */
  readonly expiresAtMonotonicMs: number
  /** Bytes of content held for them. */
  readonly contentBytes: number
  /** The content as changed for peers without 8BITMIME, once made. */
  sevenBit: Promise<ChangedContent> | null
  /** Bytes that the changed content was given room for. */
  changedBytes: number
  /** Message and content in memory of their own, once a batch of it has waited. */
  own: OwnBytes | null
}

/** See own-bytes.ts. */
export interface OwnBytes {
  readonly message: LeasedMessage
  readonly content: readonly Buffer[] | null
}

/** What ready queues of delivery hold. */
export interface DeliveryBatch extends ReadyBatch {
  /** This and the content are those of `inHand.own` from when it has waited. */
  message: LeasedMessage
  content: readonly Buffer[] | null
  readonly inHand: InHand
}

/** One in an attempt. */
export interface PrefixedBatch extends DeliveryBatch {
  readonly message: PrefixedMessage
}
