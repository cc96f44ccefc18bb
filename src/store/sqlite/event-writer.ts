// Appends to the event log inside the caller's transaction.
//
// There is one writer, so sequence numbers in order of insertion are in order of visibility too. The counter lives in
// memory and starts above the newest row (or above the floor that a restore has set); retention never deletes the newest
// row, so no number is given twice.

import type { NewEvent } from '../../events/index.ts'
import { eventTypes } from '../../events/index.ts'
import type { Database, Statement } from './database.ts'

/** The writer's side of the log. */
export class EventWriter {
  readonly #insert: Statement
  readonly #oldest: Statement
  readonly #deleteUpTo: Statement
  readonly #node: number
  #seq: number

  constructor(db: Database, node: number) {
    this.#node = node
    const last = db.prepare('SELECT max(seq) FROM event').get() as unknown as [number | null]
    const floor = db.prepare("SELECT value FROM meta WHERE name = 'event_seq_floor'").get() as unknown as
      | [number]
      | undefined
    this.#seq = Math.max(last[0] ?? 0, floor?.[0] ?? 0)
    this.#insert = db.prepare(
      'INSERT INTO event (seq, type, at_ms, account_key, stream_key, node, message_id, recipient_number, message_key, facts)' +
        ' VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.#oldest = db.prepare('SELECT seq FROM event ORDER BY seq LIMIT 1')
    this.#deleteUpTo = db.prepare('DELETE FROM event WHERE seq < ? AND at_ms < ?')
  }

  /** The `accepted` event of a message, which leads from its id to its key. */
  accepted(
    atMs: number,
    accountKey: number,
    streamKey: number,
    id: Uint8Array,
    messageKey: number,
    facts: Uint8Array,
  ): void {
    this.#seq++
    this.#insert.run(
      this.#seq,
      eventTypes.accepted,
      atMs,
      accountKey,
      streamKey,
      this.#node,
      id,
      -1,
      messageKey,
      facts,
    )
  }

  /** @param type number of the event type. */
  append(
    type: number,
    atMs: number,
    accountKey: number,
    streamKey: number,
    id: Uint8Array | null,
    recipientNumber: number,
    facts: Uint8Array,
  ): void {
    this.#seq++
    this.#insert.run(
      this.#seq,
      type,
      atMs,
      accountKey,
      streamKey,
      this.#node,
      id,
      recipientNumber,
      null,
      facts,
    )
  }

  /** Appends an event as its port's type. */
  add(event: NewEvent): void {
    this.append(
      eventTypes[event.type],
      event.atMs,
      event.accountKey,
      event.streamKey,
      event.messageId,
      event.recipientNumber,
      event.facts,
    )
  }

  /**
   * Deletes up to `limit` of the oldest events, those from before `beforeMs` only; never the newest.
   * @returns how many are gone.
   */
  prune(beforeMs: number, limit: number): number {
    const oldest = this.#oldest.get() as unknown as [number] | undefined
    if (oldest === undefined) return 0
    return Number(this.#deleteUpTo.run(Math.min(oldest[0] + limit, this.#seq), beforeMs).changes)
  }
}
