// Filters over recipient rows, in bounded steps: no index on domain or state burdens the hot path, so a filter walks the
// table by key, at most `windowRows` rows a statement, and the caller goes on from where the window ended. A message's id
// has been made a key before (message-key.ts).

import type { QueueFilter } from '../../queue/index.ts'
import { recipientKey, stateCodes } from '../format/index.ts'
import type { Database } from './database.ts'
import { findMessageKey } from './message-key.ts'

/** Rows that one statement may walk over: 2 to 4 ms. */
export const windowRows = 5000

export type SqlValue = string | number | Uint8Array

/** A filter as SQL over `recipient`, with the key range that can match. */
export interface CompiledFilter {
  /** Conditions with placeholders, '1' when there are none. */
  readonly where: string
  readonly values: readonly SqlValue[]
  /** Keys from this one on … */
  readonly fromKey: number
  /** … and below this one. */
  readonly untilKey: number
}

/** A filter whose message, when it names one, is found. */
export interface KeyedFilter extends Omit<QueueFilter, 'messageId'> {
  readonly message?: { readonly key: number; readonly id: Uint8Array }
}

/** Finds the message that a filter names; null when it is gone or never was, so that nothing can match. */
export async function findMessage(db: Database, filter: QueueFilter): Promise<KeyedFilter | null> {
  const { messageId: id, ...rest } = filter
  if (id === undefined) return rest
  const key = await findMessageKey(db, id)
  return key === null ? null : { ...rest, message: { key, id } }
}

/** Compiles a filter. */
export function compileFilter(filter: KeyedFilter): CompiledFilter {
  const conditions: string[] = []
  const values: SqlValue[] = []
  const and = (condition: string, value: SqlValue): void => {
    conditions.push(condition)
    values.push(value)
  }
  if (filter.accountKey !== undefined) and('account_key = ?', filter.accountKey)
  if (filter.domain !== undefined) and('domain = ?', filter.domain)
  if (filter.state !== undefined) and('state = ?', stateCodes[filter.state])
  let fromKey = 0
  let untilKey = Number.MAX_SAFE_INTEGER
  if (filter.message !== undefined) {
    const { key } = filter.message
    const endKey = recipientKey(key + 1, 0)
    // A number that no recipient has matches nothing: as a key it would be one of the next message.
    fromKey = Math.min(recipientKey(key, filter.recipientNumber ?? 0), endKey)
    untilKey = filter.recipientNumber === undefined ? endKey : Math.min(fromKey + 1, endKey)
  }
  return { where: conditions.length === 0 ? '1' : conditions.join(' AND '), values, fromKey, untilKey }
}

/** The end of the window that starts at `fromKey`: its last key, and whether rows follow. */
export function windowEnd(
  db: Database,
  fromKey: number,
  untilKey: number,
): { readonly endKey: number; readonly hasMore: boolean } {
  const row = db
    .prepare('SELECT key FROM recipient WHERE key >= ? AND key < ? ORDER BY key LIMIT 1 OFFSET ?')
    .get(fromKey, untilKey, windowRows) as unknown as [number] | undefined
  return row === undefined ? { endKey: untilKey, hasMore: false } : { endKey: row[0], hasMore: true }
}
