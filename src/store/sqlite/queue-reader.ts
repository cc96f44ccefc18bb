// Lists, counts and looks up what is in the queue, on a read-only connection, for the control plane.
//
// Filters are walked in windows; between two windows the event loop gets its turn and no statement is open. A page is
// full unless the end was reached; what changes meanwhile may be seen or not, but no row is listed twice.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { MessageRow, QueueFilter, QueueRow } from '../../queue/index.ts'
import {
  asBuffer,
  messageKeyOf,
  numberOf,
  readEnvelope,
  readHead,
  reasonOf,
  recipientKey,
  recipientsMax,
  stateCodes,
  stateOf,
} from '../format/index.ts'
import { expiryShifts } from './clock-jumps.ts'
import type { Database, Statement } from './database.ts'
import { findMessageKey } from './message-key.ts'
import {
  type CompiledFilter,
  compileFilter,
  findMessage,
  type KeyedFilter,
  windowEnd,
  windowRows,
} from './queue-filter.ts'

/** A page and where the next one begins; null when there is none. */
export interface Page<T> {
  readonly rows: T[]
  readonly cursor: string | null
}

const recipientColumns = 'key, state, account_key, next_at_ms, reason, attempts, head, note, outcome'

type RecipientRow = [
  key: number,
  state: number,
  accountKey: number,
  nextAtMs: number,
  reason: number,
  attempts: number,
  head: Uint8Array,
  note: string | null,
  outcome: Uint8Array | null,
]

const messageColumns =
  'key, id, account_key, stream_key, size_bytes, accepted_at_ms, expires_at_ms, priority, envelope'

type MessageColumns = [
  key: number,
  id: Uint8Array,
  accountKey: number,
  streamKey: number,
  sizeBytes: number,
  acceptedAtMs: number,
  expiresAtMs: number,
  priority: number,
  envelope: Uint8Array,
]

/** Counts of matching recipients by state. */
export interface StateCounts {
  readonly scheduled: number
  readonly leased: number
  readonly held: number
}

export class QueueReader {
  readonly #db: Database
  readonly #id: Statement
  readonly #open: Statement

  constructor(db: Database) {
    this.#db = db
    this.#id = db.prepare('SELECT id FROM message WHERE key = ?')
    this.#open = db.prepare('SELECT count(*) FROM recipient WHERE key >= ? AND key < ?')
  }

  /** Matching recipients, oldest message first. */
  async list(filter: QueueFilter, cursor: string, limit: number): Promise<Page<QueueRow>> {
    const compiled = await this.#compile(filter)
    const rows: QueueRow[] = []
    if (compiled === null) return { rows, cursor: null }
    const select = this.#db.prepare(
      `SELECT ${recipientColumns} FROM recipient WHERE key >= ? AND key < ? AND ${compiled.where} ORDER BY key LIMIT ?`,
    )
    for (let from = Math.max(compiled.fromKey, readCursor(cursor)); ; await nextTurn()) {
      const { endKey, hasMore } = windowEnd(this.#db, from, compiled.untilKey)
      const wanted = limit - rows.length
      const found = select.all(from, endKey, ...compiled.values, wanted) as unknown as RecipientRow[]
      for (const row of found) rows.push(this.#toRow(row))
      if (found.length === wanted) return { rows, cursor: `${found.at(-1)![0] + 1}` }
      if (!hasMore) return { rows, cursor: null }
      from = endKey
    }
  }

  async count(filter: QueueFilter): Promise<StateCounts> {
    const counts = [0, 0, 0]
    const compiled = await this.#compile(filter)
    if (compiled !== null) {
      const select = this.#db.prepare(
        `SELECT state, count(*) FROM recipient WHERE key >= ? AND key < ? AND ${compiled.where} GROUP BY state`,
      )
      for (let from = compiled.fromKey; ; await nextTurn()) {
        const { endKey, hasMore } = windowEnd(this.#db, from, compiled.untilKey)
        const found = select.all(from, endKey, ...compiled.values) as unknown as [number, number][]
        for (const [state, count] of found) counts[state] = counts[state]! + count
        if (!hasMore) break
        from = endKey
      }
    }
    return {
      scheduled: counts[stateCodes.scheduled]!,
      leased: counts[stateCodes.leased]!,
      held: counts[stateCodes.held]!,
    }
  }

  /** Messages with at least one matching recipient, newest first. */
  async messages(filter: QueueFilter, cursor: string, limit: number): Promise<Page<MessageRow>> {
    const compiled = await this.#compile(filter)
    const rows: MessageRow[] = []
    if (compiled === null) return { rows, cursor: null }
    const untilKey = Math.min(
      readCursor(cursor, Number.MAX_SAFE_INTEGER),
      messageKeyOf(compiled.untilKey - 1) + 1,
    )
    const matches =
      compiled.where === '1'
        ? '1'
        : `EXISTS (SELECT 1 FROM recipient r WHERE r.key >= message.key * ${recipientsMax}` +
          ` AND r.key < (message.key + 1) * ${recipientsMax} AND ${compiled.where.replaceAll(/(?=(account_key|domain|state) = )/g, 'r.')})`
    // The inner select bounds how many messages one statement looks at.
    const select = this.#db.prepare(
      `SELECT ${messageColumns} FROM message WHERE key < ? AND key >= ? AND ${matches} ORDER BY key DESC LIMIT ?`,
    )
    const start = this.#db.prepare(
      'SELECT key FROM message WHERE key < ? AND key >= ? ORDER BY key DESC LIMIT 1 OFFSET ?',
    )
    const fromKey = messageKeyOf(compiled.fromKey)
    for (let until = untilKey; ; await nextTurn()) {
      const bound = start.get(until, fromKey, windowRows) as unknown as [number] | undefined
      const lowest = bound === undefined ? fromKey : bound[0] + 1
      const wanted = limit - rows.length
      const found = select.all(until, lowest, ...compiled.values, wanted) as unknown as MessageColumns[]
      const shiftMs = expiryShifts(this.#db)
      for (const row of found) rows.push(this.#toMessage(row, shiftMs))
      if (found.length === wanted) return { rows, cursor: `${found.at(-1)![0]}` }
      if (bound === undefined) return { rows, cursor: null }
      until = lowest
    }
  }

  /** A live message; null when it never was or nothing of it is left to send. */
  async message(id: Buffer): Promise<MessageRow | null> {
    const key = await findMessageKey(this.#db, id)
    if (key === null) return null
    const row = this.#db.prepare(`SELECT ${messageColumns} FROM message WHERE key = ?`).get(key) as unknown as
      | MessageColumns
      | undefined
    return row === undefined ? null : this.#toMessage(row, expiryShifts(this.#db))
  }

  /** Finds the message that a filter names, for an action; null when nothing can match. */
  findMessage(filter: QueueFilter): Promise<KeyedFilter | null> {
    return findMessage(this.#db, filter)
  }

  async #compile(filter: QueueFilter): Promise<CompiledFilter | null> {
    const keyed = await findMessage(this.#db, filter)
    return keyed === null ? null : compileFilter(keyed)
  }

  #toRow(row: RecipientRow): QueueRow {
    const [key, stateCode, accountKey, nextAtMs, reason, attempts, head, note, outcome] = row
    const state = stateOf(stateCode)
    const id = this.#id.get(messageKeyOf(key)) as unknown as [Uint8Array] | undefined
    return {
      messageId: asBuffer(id?.[0] ?? null),
      recipientNumber: numberOf(key),
      accountKey,
      forwardPath: readHead(head).forwardPath,
      state,
      attempts,
      nextAttemptAtMs: state === 'scheduled' ? nextAtMs : 0,
      // A leased row keeps the reason that it had before.
      reason: state === 'leased' ? 'ready' : reasonOf(reason),
      note: note ?? '',
      lastOutcome: outcome === null ? null : asBuffer(outcome),
    }
  }

  #toMessage(row: MessageColumns, shiftMs: (messageKey: number) => number): MessageRow {
    const [key, id, accountKey, streamKey, sizeBytes, acceptedAtMs, expiresAtMs, priority, envelope] = row
    const open = this.#open.get(recipientKey(key, 0), recipientKey(key + 1, 0)) as unknown as [number]
    return {
      key,
      id: asBuffer(id),
      accountKey,
      streamKey,
      reversePath: readEnvelope(envelope).reversePath,
      sizeBytes,
      acceptedAtMs,
      expiresAtMs: expiresAtMs + shiftMs(key),
      priority,
      openRecipients: open[0],
    }
  }
}

function readCursor(cursor: string, start: number = 0): number {
  const key = Number(cursor)
  return cursor === '' || !Number.isSafeInteger(key) ? start : key
}
