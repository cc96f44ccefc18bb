// The operator's actions on waiting recipients: hold, release, retry, expire, reroute. Each with its event, in one commit.
//
// One call walks at most one window and changes at most `limit` rows; rows that an action would not change do not match,
// so that calling again until nothing is done ends. Leased recipients are never touched.

import type { EventType, Outcome } from '../../events/index.ts'
import { eventTypes, packAction, packOutcomeFacts } from '../../events/index.ts'
import type { QueueAction } from '../../queue/index.ts'
import { messageKeyOf, numberOf, readHead, reasonCode, stateCodes } from '../format/index.ts'
import type { Database, Statement } from './database.ts'
import type { DueHints } from './due-hints.ts'
import type { EventWriter } from './event-writer.ts'
import { isMessage } from './message-key.ts'
import { compileFilter, type KeyedFilter, type SqlValue, windowEnd } from './queue-filter.ts'
import type { Settler } from './settler.ts'

/** What a step did, and where the next one begins; null when the walk is over. */
export interface ActionStep {
  readonly done: number
  readonly cursor: string | null
}

type Row = [key: number, accountKey: number, nextAtMs: number, attempts: number, head: Uint8Array]

/** How an action changes a row: which rows it applies to, the assignments, and what its event is. */
interface Change {
  readonly applies: string
  readonly appliesValues: readonly SqlValue[]
  /** '' deletes the row. */
  readonly set: string
  readonly setValues: readonly SqlValue[]
  readonly event: EventType
  readonly note: string
  readonly isDueNow: boolean
}

const { scheduled, held } = stateCodes

function changeOf(action: QueueAction, nowMs: number): Change {
  switch (action.kind) {
    case 'hold':
      return {
        applies: `state = ${scheduled}`,
        appliesValues: [],
        set: `state = ${held}, reason = ${reasonCode('held-by-operator')}, note = ?`,
        setValues: [action.note],
        event: 'held',
        note: action.note,
        isDueNow: false,
      }
    case 'release':
      return {
        applies: `state = ${held}`,
        appliesValues: [],
        set: `state = ${scheduled}, reason = ${reasonCode('released')}, note = NULL, next_at_ms = ?`,
        setValues: [nowMs],
        event: 'released',
        note: '',
        isDueNow: true,
      }
    case 'retry':
      return {
        applies: `state = ${scheduled} AND next_at_ms > ?`,
        appliesValues: [nowMs],
        set: `reason = ${reasonCode('retry-requested')}, next_at_ms = ?`,
        setValues: [nowMs],
        event: 'retried',
        note: '',
        isDueNow: true,
      }
    case 'reroute':
      // Held ones stay held; scheduled ones try the new way at once.
      return {
        applies: `state IN (${scheduled}, ${held}) AND coalesce(route, '') <> ?`,
        appliesValues: [action.smarthost],
        set: 'route = ?, next_at_ms = ?',
        setValues: [action.smarthost, nowMs],
        event: 'rerouted',
        note: action.smarthost,
        isDueNow: true,
      }
    case 'expire':
      return {
        applies: `state IN (${scheduled}, ${held})`,
        appliesValues: [],
        set: '',
        setValues: [],
        event: 'expired',
        note: '',
        isDueNow: false,
      }
  }
}

export class QueueActions {
  readonly #db: Database
  readonly #events: EventWriter
  readonly #settler: Settler
  readonly #hints: DueHints
  readonly #message: Statement

  constructor(db: Database, events: EventWriter, settler: Settler, hints: DueHints) {
    this.#db = db
    this.#events = events
    this.#settler = settler
    this.#hints = hints
    this.#message = db.prepare('SELECT id, stream_key FROM message WHERE key = ?')
  }

  /** @param freed collects packed extents that are free once the transaction is committed. */
  step(
    filter: KeyedFilter,
    action: QueueAction,
    nowMs: number,
    limit: number,
    cursor: string,
    freed: Buffer[],
  ): ActionStep {
    const { message } = filter
    // The key was found outside of this transaction: the message may be finished, and its key another's, by now.
    if (message !== undefined && !isMessage(this.#db, message.key, message.id))
      return { done: 0, cursor: null }
    const compiled = compileFilter(filter)
    const change = changeOf(action, nowMs)
    const from = Math.max(compiled.fromKey, Number(cursor) || 0)
    const { endKey, hasMore } = windowEnd(this.#db, from, compiled.untilKey)
    const rows = this.#db
      .prepare(
        `SELECT key, account_key, next_at_ms, attempts, head FROM recipient WHERE key >= ? AND key < ?` +
          ` AND ${compiled.where} AND ${change.applies} ORDER BY key LIMIT ?`,
      )
      .all(from, endKey, ...compiled.values, ...change.appliesValues, limit) as unknown as Row[]
    const sql =
      change.set === ''
        ? 'DELETE FROM recipient WHERE key = ?'
        : `UPDATE recipient SET ${change.set} WHERE key = ?`
    const statement = this.#db.prepare(sql)
    const touched = new Set<number>()
    for (const row of rows) {
      statement.run(...change.setValues, row[0])
      if (change.isDueNow) this.#hints.note(row[1], nowMs)
      touched.add(messageKeyOf(row[0]))
      this.#append(row, action, change, nowMs)
    }
    if (action.kind === 'expire') for (const key of touched) this.#settler.removeWhenDone(key, freed)
    if (rows.length === limit) return { done: rows.length, cursor: `${rows.at(-1)![0] + 1}` }
    return { done: rows.length, cursor: hasMore ? `${endKey}` : null }
  }

  #append(row: Row, action: QueueAction, change: Change, nowMs: number): void {
    const [key, accountKey, , attempts, head] = row
    const { forwardPath } = readHead(head)
    const message = this.#message.get(messageKeyOf(key)) as unknown as [Uint8Array, number]
    const facts =
      action.kind === 'expire'
        ? packOutcomeFacts({
            forwardPath,
            attempt: attempts,
            outcome: expiredByOperator(nowMs),
            nextAttemptAtMs: 0,
            conversation: [],
          })
        : packAction({ forwardPath, by: 'operator', note: change.note })
    this.#events.append(
      eventTypes[change.event],
      nowMs,
      accountKey,
      message[1],
      message[0],
      numberOf(key),
      facts,
    )
  }
}

function expiredByOperator(atMs: number): Outcome {
  return {
    kind: 'expired',
    code: 0,
    enhancedCode: '4.4.7',
    text: 'expired by the operator',
    remoteHost: '',
    remoteAddress: '',
    stage: 'queue',
    tls: '',
    category: 'expired-by-operator',
    scope: 'configuration',
    source: 'local',
    atMs,
    isUncertain: false,
  }
}
