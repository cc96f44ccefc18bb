// At start: what this node had leased when it stopped is free again at once; marks tell which of it is uncertain.
//
// A recipient whose end of data had been sent, without its outcome in the store, is sent again (at-least-once) and
// carries `isUncertain` from here on. Only rows still leased can be uncertain: a settled one has its outcome.
//
// Always writes a row, so that the commit syncs the log: a killed process may have left commits in it that are visible and
// not yet durable. On the word of such a commit a segment would be deleted that a power cut gives a message again.

import { recipientFlags, recipientKey, stateCodes } from '../format/index.ts'
import type { LeftMark } from '../marks/index.ts'
import type { Database } from './database.ts'
import { findMessageKeyNow } from './message-key.ts'

/** Frees this node's leases in one commit. @returns how many recipients became due again. */
export function recoverLeases(
  db: Database,
  node: number,
  nowMs: number,
  marks: readonly LeftMark[] = [],
): number {
  const { leased, scheduled } = stateCodes
  return db.transaction(() => {
    db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('started_at_ms', ?)").run(nowMs)
    const setUncertain = db.prepare(
      `UPDATE recipient SET flags = flags | ${recipientFlags.uncertain} WHERE key = ? AND state = ${leased} AND node = ?`,
    )
    for (const mark of marks) {
      const key = findMessageKeyNow(db, mark.messageId)
      if (key === null) continue
      for (const number of mark.recipientNumbers) setUncertain.run(recipientKey(key, number), node)
    }
    const free = db.prepare(
      `UPDATE recipient SET state = ${scheduled}, next_at_ms = ?, reason = min(attempts, 1) WHERE state = ${leased} AND node = ?`,
    )
    return Number(free.run(nowMs, node).changes)
  })
}
