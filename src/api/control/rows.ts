// A list of any length as an answer: each row an item, so that no line of the answer grows with the list.
//
// Invariants: between a hundred rows others of this thread have their turn; a slow reader holds its own list back; a list
// that is broken off is no success.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ControlCall } from './command.ts'
import { type ControlOutcome, cancelled, done } from './wire.ts'

const rowsPerTurn = 100

/** Sends the rows, made one by one while they are taken; the result is how many there were. */
export async function sendRows(rows: Iterable<unknown>, call: ControlCall): Promise<ControlOutcome> {
  let count = 0
  for (const row of rows) {
    if (call.signal.aborted) return cancelled()
    await call.item(row)
    if (++count % rowsPerTurn === 0) await nextTurn()
  }
  return done({ count })
}
