// Applies the results of attempts, inside the caller's transaction: each with its event, all or nothing.
//
// A final outcome deletes the recipient's row and, with the last one, the message and its content. A settlement for a
// recipient that is not leased any more (settled before, or never there) changes nothing and writes no event.

import { asBuffer, recipientFlags, recipientKey, stateCodes } from '../format/index.ts'
import type { Database, Statement } from './database.ts'
import type { DueHints } from './due-hints.ts'
import type { EventWriter } from './event-writer.ts'
import type { MessageWriter } from './message-writer.ts'

/** A settlement as it comes from the codec. */
export interface RawSettlement {
  readonly messageKey: number
  readonly messageId: Buffer
  readonly recipientNumber: number
  readonly recipientCount: number
  readonly accountKey: number
  readonly streamKey: number
  readonly attempts: number
  /** Number of the event type. */
  readonly eventType: number
  readonly isFinal: boolean
  readonly isDelayNotified: boolean
  /** Number of the wait reason; counts when deferred. */
  readonly reason: number
  readonly atMs: number
  readonly nextAttemptAtMs: number
  readonly facts: Buffer
  readonly lastOutcome: Buffer
}

/** A give-back as it comes from the codec. */
export interface RawGiveBack {
  readonly messageKey: number
  readonly recipientNumber: number
  readonly nextAttemptAtMs: number
  readonly reason: number
}

/** Applies settlements and give-backs. */
export class Settler {
  readonly #messages: MessageWriter
  readonly #events: EventWriter
  readonly #hints: DueHints
  readonly #delete: Statement
  readonly #defer: Statement
  readonly #giveBack: Statement

  constructor(db: Database, messages: MessageWriter, events: EventWriter, hints: DueHints) {
    this.#messages = messages
    this.#events = events
    this.#hints = hints
    const { leased, scheduled } = stateCodes
    this.#delete = db.prepare(`DELETE FROM recipient WHERE key = ? AND state = ${leased}`)
    this.#defer = db.prepare(
      `UPDATE recipient SET state = ${scheduled}, next_at_ms = ?, reason = ?, attempts = ?,` +
        ` flags = (flags & ~${recipientFlags.delayNotified}) | ?, outcome = ? WHERE key = ? AND state = ${leased}`,
    )
    this.#giveBack = db.prepare(
      `UPDATE recipient SET state = ${scheduled}, next_at_ms = ?, reason = ? WHERE key = ? AND state = ${leased}` +
        ' RETURNING account_key',
    )
  }

  /** @param freed collects packed extents that are free once the transaction is committed. */
  settle(settlements: readonly RawSettlement[], freed: Buffer[]): void {
    let shared: Set<number> | null = null
    for (const one of settlements) {
      if (!this.#apply(one)) continue
      this.#events.append(
        one.eventType,
        one.atMs,
        one.accountKey,
        one.streamKey,
        one.messageId,
        one.recipientNumber,
        one.facts,
      )
      if (!one.isFinal) continue
      if (one.recipientCount === 1) this.#remove(one.messageKey, freed)
      else {
        shared ??= new Set()
        shared.add(one.messageKey)
      }
    }
    if (shared === null) return
    for (const key of shared) this.removeWhenDone(key, freed)
  }

  /** Returns recipients to the scheduled queue without an attempt. */
  giveBack(back: RawGiveBack): void {
    const row = this.#giveBack.get(
      back.nextAttemptAtMs,
      back.reason,
      recipientKey(back.messageKey, back.recipientNumber),
    ) as unknown as [number] | undefined
    if (row !== undefined) this.#hints.note(row[0], back.nextAttemptAtMs)
  }

  /** Removes a message when its last recipient is final. */
  removeWhenDone(messageKey: number, freed: Buffer[]): void {
    if (!this.#messages.hasRecipients(messageKey)) this.#remove(messageKey, freed)
  }

  #remove(messageKey: number, freed: Buffer[]): void {
    const extents = this.#messages.remove(messageKey)
    if (extents !== null) freed.push(asBuffer(extents))
  }

  #apply(one: RawSettlement): boolean {
    const key = recipientKey(one.messageKey, one.recipientNumber)
    if (one.isFinal) return Number(this.#delete.run(key).changes) > 0
    const changed = this.#defer.run(
      one.nextAttemptAtMs,
      one.reason,
      one.attempts,
      one.isDelayNotified ? recipientFlags.delayNotified : 0,
      one.lastOutcome.length === 0 ? null : one.lastOutcome,
      key,
    ).changes
    if (Number(changed) === 0) return false
    this.#hints.note(one.accountKey, one.nextAttemptAtMs)
    return true
  }
}
