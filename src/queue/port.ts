// The queue's port to its store: durable operations in the queue's words, with their transaction boundaries.
//
// Implementations: store/sqlite (through the store thread) and, later, store/postgres. The conformance suite in
// test/conformance runs the same cases against each. All times are milliseconds since 1970, UTC.

import type { EventType, NewEvent } from '../events/index.ts'
import type { LeasedMessage, NewMessage, RecipientState, StoredContent, WaitReason } from './message.ts'

/** Answer to an accept. `failed`: the disk refused, or the store is gone; nothing was kept, answer 452. */
export type AcceptResult =
  | { readonly kind: 'stored'; readonly key: number }
  | { readonly kind: 'failed'; readonly why: string }

/** The result of one attempt for one recipient. Applied with its event in one commit. */
export interface Settlement {
  readonly messageKey: number
  readonly messageId: Buffer
  readonly recipientNumber: number
  readonly recipientCount: number
  readonly accountKey: number
  readonly streamKey: number
  /** Attempts including this one. */
  readonly attempts: number
  /** Event type of the outcome: `delivered`, `deferred`, `bounced`, `expired`, `cancelled`, `suppressed`. */
  readonly eventType: EventType
  /** Packed OutcomeFacts. */
  readonly facts: Buffer
  readonly atMs: number
  /** Deferred only: when the next attempt is due. Final outcomes: 0. */
  readonly nextAttemptAtMs: number
  /** Deferred only: why it waits. Default `next-attempt`. */
  readonly reason?: WaitReason
  /** Deferred only: packed Outcome kept on the row for the CLI; empty otherwise. */
  readonly lastOutcome: Buffer
  /** Deferred only: set once a delay notice has gone out. */
  readonly isDelayNotified: boolean
}

/** Recipients that go back to the scheduled queue without an attempt. */
export interface GiveBack {
  readonly messageKey: number
  readonly recipientNumber: number
  readonly nextAttemptAtMs: number
  readonly reason: WaitReason
}

/** One commit's worth from delivery: all of it or nothing. */
export interface SettleBatch {
  readonly settlements: readonly Settlement[]
  readonly giveBacks: readonly GiveBack[]
  /** DSNs made by these settlements. */
  readonly messages: readonly NewMessage[]
  /** Further events (a `notified`, a `rejected` at the door). */
  readonly events: readonly NewEvent[]
}

/** How many recipients of a lease may be of one account. */
export interface LeaseShares {
  /** Of any that is not in `less`. */
  readonly each: number
  /** By account: of those that have much already. */
  readonly less: ReadonlyMap<number, number>
}

/** Bounds of one lease request. */
export interface LeaseRequest {
  readonly recipientsMax: number
  readonly nowMs: number
  /** Missing: an account may have all of it. */
  readonly shares?: LeaseShares
}

/** What a relay thread asks of the store. */
export interface QueueStore {
  /**
   * Stores content, envelope, recipients and the `accepted` event; resolves after the commit is on disk
   * (grouped with whatever else arrived). Never rejects for disk trouble: that is a `failed` value.
   */
  accept(message: NewMessage): Promise<AcceptResult>
  /**
   * Applies a batch; resolves after the commit is on disk. Rejects with nothing of it done: with `isPassing: true` on the
   * error when a full disk is why (try again), else because the store is broken (the thread then ends).
   */
  settle(batch: SettleBatch): Promise<void>
  /**
   * Leases due recipients, fair between accounts, urgent lanes first. Leases of a stopped
   * node are free again at its start.
   */
  lease(request: LeaseRequest): Promise<LeasedMessage[]>
  /** Trace and signature of a leased message; null when it is gone. */
  readPrefix(messageKey: number): Buffer | null
  /** The content's bytes (without prefix); null when it is gone. Large ones should be streamed with {@link openContent}. */
  readContent(messageKey: number, content: StoredContent): Promise<Buffer | null>
  /** The content as chunks of at most 256 KiB. */
  openContent(messageKey: number, content: StoredContent): AsyncIterable<Buffer>
}

/** Takes the bytes of a large content while it arrives; nothing of it counts until `accept` names its extents. */
export interface ContentSpool {
  begin(): SpooledContent
}

export interface SpooledContent {
  /** Appends; a promise means: wait before the next chunk. Rejects when the disk refuses. */
  write(chunk: Buffer): Promise<void> | undefined
  /** All bytes are handed to the operating system (the commit syncs them). */
  finish(): Promise<{
    readonly extents: readonly import('./message.ts').Extent[]
    readonly sizeBytes: number
  }>
  /** Gives the bytes up: instead of `finish`, or after it when no accept will name the extents. */
  abort(): void
}

/** Which recipients an operator's action or listing concerns; all given conditions hold together. */
export interface QueueFilter {
  readonly accountKey?: number
  /** Domain of the forward-path (lower-case A-label). */
  readonly domain?: string
  readonly messageId?: Buffer
  readonly recipientNumber?: number
  readonly state?: RecipientState
}

/** A row of `queue list`. */
export interface QueueRow {
  readonly messageId: Buffer
  readonly recipientNumber: number
  readonly accountKey: number
  readonly forwardPath: string
  readonly state: RecipientState
  readonly attempts: number
  /** 0 when leased or held. */
  readonly nextAttemptAtMs: number
  readonly reason: WaitReason
  /** '' or the note of who holds it. */
  readonly note: string
  /** Packed Outcome of the last attempt, or null. */
  readonly lastOutcome: Buffer | null
}

/** A live message for `message show` and `message list`. */
export interface MessageRow {
  readonly key: number
  readonly id: Buffer
  readonly accountKey: number
  readonly streamKey: number
  readonly reversePath: string
  readonly sizeBytes: number
  readonly acceptedAtMs: number
  readonly expiresAtMs: number
  readonly priority: number
  readonly openRecipients: number
}

export type QueueAction =
  | { readonly kind: 'hold'; readonly note: string }
  | { readonly kind: 'release' }
  | { readonly kind: 'retry' }
  | { readonly kind: 'expire' }
  | { readonly kind: 'reroute'; readonly smarthost: string }

/** What the control plane (CLI, later API) asks of the queue. */
export interface QueueControl {
  /** Pages by an opaque cursor, '' to start. Reads never hold a transaction beyond one page. */
  list(
    filter: QueueFilter,
    cursor: string,
    limit: number,
  ): Promise<{ readonly rows: QueueRow[]; readonly cursor: string | null }>
  /** Counts matching rows by state, in steps. */
  count(
    filter: QueueFilter,
  ): Promise<{ readonly scheduled: number; readonly leased: number; readonly held: number }>
  /** Live messages, newest first. */
  messages(
    filter: QueueFilter,
    cursor: string,
    limit: number,
  ): Promise<{ readonly rows: MessageRow[]; readonly cursor: string | null }>
  message(id: Buffer): Promise<MessageRow | null>
  /**
   * Applies an action to at most `limit` matching recipients that are not leased, with its events, in one commit.
   * Call again with the returned cursor until it is null ('' or none starts anew). Leased ones must be recalled from
   * the threads first.
   */
  act(
    filter: QueueFilter,
    action: QueueAction,
    nowMs: number,
    limit: number,
    cursor?: string,
  ): Promise<{ readonly done: number; readonly cursor: string | null }>
}
