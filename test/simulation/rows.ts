// The queue as it is shown, against the ledger: every open recipient has its row, which says what it should.

import type { QueueRow } from '../../src/queue/index.ts'
import { type Entry, fail } from './entry.ts'

/** @param open by `message id.number`. */
export function checkRows(rows: readonly QueueRow[], open: ReadonlyMap<string, Entry>): void {
  const seen = new Set<string>()
  for (const row of rows) {
    const id = `${row.messageId.toString('hex')}.${row.recipientNumber}`
    seen.add(id)
    const entry = open.get(id)
    if (entry === undefined) fail(`there is a row for ${row.forwardPath}, which is final`)
    const state = entry.owner !== null ? 'leased' : entry.state
    const reason = state === 'leased' ? 'ready' : entry.reason
    const nextAttemptAtMs = state === 'scheduled' ? entry.nextAttemptAtMs : 0
    const isEither = entry.isDropped && row.reason === 'site-unreachable' && reason === 'next-attempt'
    const shown = `${row.state} ${row.attempts} ${isEither ? reason : row.reason} ${row.nextAttemptAtMs}`
    const expected = `${state} ${entry.attempts} ${reason} ${nextAttemptAtMs}`
    if (shown !== expected) fail(`the row of ${entry.path} says "${shown}", it should say "${expected}"`)
  }
  for (const [id, entry] of open) if (!seen.has(id)) fail(`${entry.path} is lost: it has no row and no end`)
}
