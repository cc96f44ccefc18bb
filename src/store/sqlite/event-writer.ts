// Appends to the event log inside the caller's transaction.
//
// There is one writer, so sequence numbers in order of insertion are in order of visibility too. The counter lives in
// memory and starts above the newest row (or above the floor that a restore has set); retention never deletes the newest
// row, so no number is given twice.

import type { NewEvent } from '../../events/index.ts'
import { eventTypes } from '../../events/index.ts'
import type { Database, Statement } from './database.ts'

/** What one step of pruning did. */
export interface PruneStep {
  readonly gone: number
  /** Where the next step goes on; null: nothing old is left. */
  readonly cursor: number | null
}

/** The writer's side of the log. */
export class EventWriter {
  readonly #insert: Statement
  readonly #newest: Statement
  readonly #window: Statement
  readonly #deleteOld: Statement
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
    this.#newest = db.prepare('SELECT max(seq) FROM event')
    this.#window = db.prepare(
      'SELECT max(seq), coalesce(sum(at_ms > ?), 0) FROM' +
        ' (SELECT seq, at_ms FROM event WHERE seq > ? ORDER BY seq LIMIT ?)',
    )
    this.#deleteOld = db.prepare('DELETE FROM event WHERE seq > ? AND seq <= ? AND seq < ? AND at_ms < ?')
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
   * Looks at the `limit` events after `afterSeq` and deletes those from before `beforeMs`; never the newest. Ends where
   * nothing was old enough, but not because of events from the future, which a clock that was wrong has left: those stay
   * until their time has come, and must not keep what lies behind them.
   */
  prune(beforeMs: number, nowMs: number, afterSeq: number, limit: number): PruneStep {
    const [last, fromFuture] = this.#window.get(nowMs, afterSeq, limit) as unknown as [number | null, number]
    if (last === null) return { gone: 0, cursor: null }
    // Of the table: the counter is also above numbers that were rolled back.
    const [newest] = this.#newest.get() as unknown as [number]
    const gone = Number(this.#deleteOld.run(afterSeq, last, newest, beforeMs).changes)
    return { gone, cursor: gone === 0 && fromFuture === 0 ? null : last }
  }
}
