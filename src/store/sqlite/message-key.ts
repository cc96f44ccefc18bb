// From a message's public id to its row key, without an index that the hot path would have to feed.
//
// The `accepted` event carries the key, and events are indexed by message id. When retention has taken that event from
// under a message that is still held, the message table is searched.

import type { Database } from './database.ts'

/** The row key of a live message, or null. */
export function findMessageKey(db: Database, id: Uint8Array): number | null {
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
  const byScan = db.prepare('SELECT key FROM message WHERE id = ? LIMIT 1').get(id) as unknown as
    | [number]
    | undefined
  return byScan?.[0] ?? null
}
