// Writes accepted messages and removes finished ones, inside the caller's transaction.
//
// Hot path: one insert into each of message, content, recipient and event; one delete from each of the first three. A
// content row exists only for inline content, so deleting one that is not there tells that the content lies in segments:
// no message pays for a look that only large ones need.

import { StoreError } from '../errors.ts'
import { type RawMessage, recipientKey, recipientsMax, stateCodes } from '../format/index.ts'
import type { Database, Statement } from './database.ts'
import type { DueHints } from './due-hints.ts'
import type { EventWriter } from './event-writer.ts'

/** Inserts and deletes messages. */
export class MessageWriter {
  readonly #events: EventWriter
  readonly #hints: DueHints
  readonly #node: number
  readonly #insertMessage: Statement
  readonly #insertContent: Statement
  readonly #insertExtents: Statement
  readonly #insertRecipient: Statement
  readonly #deleteMessage: Statement
  readonly #deleteContent: Statement
  readonly #selectExtents: Statement
  readonly #deleteExtents: Statement
  readonly #anyRecipient: Statement
  #key: number

  constructor(db: Database, events: EventWriter, hints: DueHints, node: number) {
    this.#events = events
    this.#hints = hints
    this.#node = node
    const last = db.prepare('SELECT max(key) FROM message').get() as unknown as [number | null]
    this.#key = last[0] ?? 0
    this.#insertMessage = db.prepare(
      'INSERT INTO message (key, id, account_key, stream_key, accepted_at_ms, expires_at_ms, priority, size_bytes,' +
        ' recipient_count, envelope, prefix) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.#insertContent = db.prepare('INSERT INTO content (message_key, bytes) VALUES (?, ?)')
    this.#insertExtents = db.prepare('INSERT INTO segment_content (message_key, extents) VALUES (?, ?)')
    this.#insertRecipient = db.prepare(
      'INSERT INTO recipient (key, state, account_key, priority, next_at_ms, reason, attempts, node, flags, domain, head)' +
        ' VALUES (?, ?, ?, ?, ?, ?, 0, ?, 0, ?, ?)',
    )
    this.#deleteMessage = db.prepare('DELETE FROM message WHERE key = ?')
    this.#deleteContent = db.prepare('DELETE FROM content WHERE message_key = ?')
    this.#selectExtents = db.prepare('SELECT extents FROM segment_content WHERE message_key = ?')
    this.#deleteExtents = db.prepare('DELETE FROM segment_content WHERE message_key = ?')
    this.#anyRecipient = db.prepare('SELECT 1 FROM recipient WHERE key >= ? AND key < ? LIMIT 1')
  }

  /** Inserts a message with its recipients and its `accepted` event. @returns its key. */
  insert(message: RawMessage): number {
    const { accountKey, priority, recipients, startState, startReason } = message
    if (recipients.length === 0 || recipients.length > recipientsMax)
      throw new StoreError('PR_STORE_REFUSED', `a message has 1 to ${recipientsMax} recipients`)
    const key = ++this.#key
    this.#insertMessage.run(
      key,
      message.id,
      accountKey,
      message.streamKey,
      message.acceptedAtMs,
      message.expiresAtMs,
      priority,
      message.sizeBytes,
      recipients.length,
      message.envelope,
      message.prefix,
    )
    if (message.extents === null) this.#insertContent.run(key, message.content)
    else this.#insertExtents.run(key, message.extents)
    const nextAtMs = startState === stateCodes.scheduled ? message.firstAttemptAtMs : 0
    for (const recipient of recipients) {
      if (recipient.number >= recipientsMax)
        throw new StoreError('PR_STORE_REFUSED', `recipient numbers end at ${recipientsMax - 1}`)
      this.#insertRecipient.run(
        recipientKey(key, recipient.number),
        startState,
        accountKey,
        priority,
        nextAtMs,
        startReason,
        this.#node,
        recipient.domain,
        recipient.head,
      )
    }
    if (startState === stateCodes.scheduled) this.#hints.note(accountKey, nextAtMs)
    this.#events.accepted(
      message.acceptedAtMs,
      accountKey,
      message.streamKey,
      message.id,
      key,
      message.acceptedFacts,
    )
    return key
  }

  /** Removes a message and its content. @returns packed extents that are free after the commit, or null. */
  remove(key: number): Uint8Array | null {
    this.#deleteMessage.run(key)
    if (Number(this.#deleteContent.run(key).changes) > 0) return null
    const row = this.#selectExtents.get(key) as unknown as [Uint8Array] | undefined
    if (row === undefined) return null
    this.#deleteExtents.run(key)
    return row[0]
  }

  /** True while a recipient of the message has a row. */
  hasRecipients(key: number): boolean {
    return this.#anyRecipient.get(recipientKey(key, 0), recipientKey(key + 1, 0)) !== undefined
  }
}
