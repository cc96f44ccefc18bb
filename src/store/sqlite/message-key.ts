// From a message's public id to its row key, without an index that the hot path would have to feed.
//
// The `accepted` event carries the key, and events are indexed by message id. When retention has taken that event from
// under a message that is still held, the message table is searched, in windows: an id that nobody knows walks all of it.
// Never from inside a transaction of the store thread, which gets keys and checks them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from './database.ts'

/** Messages that one statement may walk over. */
const windowMessages = 2000

/** The row key of a live message, or null. Each window has a turn of the event loop of its own. */
export async function findMessageKey(db: Database, id: Uint8Array): Promise<number | null> {
  const search = searchMessageKey(db, id)
  let step = search.next()
  for (; step.done !== true; step = search.next()) await nextTurn()
  return step.value
}

/** As {@link findMessageKey}, at once: for the start, when nobody waits. */
export function findMessageKeyNow(db: Database, id: Uint8Array): number | null {
  const search = searchMessageKey(db, id)
  let step = search.next()
  while (step.done !== true) step = search.next()
  return step.value
}

/** Whether the row of this key is a live message with this id. */
export function isMessage(db: Database, key: number, id: Uint8Array): boolean {
  return db.prepare('SELECT 1 FROM message WHERE key = ? AND id = ?').get(key, id) !== undefined
}

/** Pauses after each window without a match. */
function* searchMessageKey(db: Database, id: Uint8Array): Generator<undefined, number | null, undefined> {
  const byEvent = db
    .prepare(
      'SELECT m.key FROM event e JOIN message m ON m.key = e.message_key' +
        ' WHERE e.message_id = ? AND e.message_key IS NOT NULL AND m.id = e.message_id LIMIT 1',
    )
    .get(id) as unknown as [number] | undefined
  if (byEvent !== undefined) return byEvent[0]
  const hasEvent = db
    .prepare('SELECT 1 FROM event WHERE message_id = ? AND message_key IS NOT NULL LIMIT 1')
    .get(id)
  // Its accepted event is there and names no living row: the message is finished.
  if (hasEvent !== undefined) return null
  const window = db.prepare(
    'SELECT max(key), max(CASE WHEN id = ? THEN key END)' +
      ' FROM (SELECT key, id FROM message WHERE key > ? ORDER BY key LIMIT ?)',
  )
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const [last, found] = window.get(id, after, windowMessages) as unknown as [number | null, number | null]
    if (found !== null) return found
    if (last === null) return null
    after = last
    yield
  }
}
