// Moves the stored times of waiting mail along when the wall clock jumps, so that waits and lives keep their length.
//
// Place: store thread; told by the main thread (app/clock-guard.ts), and at start when the
// newest event lies in the future.
//
// | clock   | next attempts                                                        | expiries                      |
// |---------|----------------------------------------------------------------------|-------------------------------|
// | forward | those that the jump alone would make due wait as long as before       | later by the jump, see below  |
// | back    | all that lie in the future come earlier by the jump, at most to now  | stay: nothing is given up     |
//
// Rows are moved in steps, without a journal: a step done twice moves a forward row not at all, and a backward row
// earlier, never later. Expiries are not rewritten: a jump is remembered with the newest message it concerns, and added
// when a message is read. What was accepted between the jump and its notice may so live longer, never shorter.

import type { ClockJump } from '../../base/index.ts'
import { stateCodes } from '../format/index.ts'
import type { Database } from './database.ts'
import { windowEnd } from './queue-filter.ts'

const metaName = 'clock_jumps'
/** More than anybody needs; the oldest are then joined. */
const jumpsMax = 50

/** Messages up to this key live longer by so much; the time tells one jump from another. */
type Remembered = [untilKey: number, byMs: number, atMs: number]

/** See the head of the file. */
export class ClockJumps {
  readonly #db: Database
  #jumps: Remembered[]

  constructor(db: Database) {
    this.#db = db
    this.#jumps = readJumps(db)
  }

  /** What a message's stored expiry must be moved by. */
  expiryShiftMs(messageKey: number): number {
    return this.#jumps.length === 0 ? 0 : shiftOf(this.#jumps, messageKey)
  }

  /** At start: keys of messages that are gone may be used again, so no jump concerns more than is there. */
  prune(): void {
    if (this.#jumps.length === 0) return
    const [least, most] = this.#keys()
    const kept = this.#jumps
      .filter(([untilKey]) => least !== null && untilKey >= least)
      .map(([untilKey, byMs, atMs]): Remembered => [Math.min(untilKey, most!), byMs, atMs])
    this.#write(kept)
  }

  /** Remembers a jump forward. Inside the caller's transaction; `reread` when that is rolled back. */
  remember({ byMs, nowMs }: ClockJump): void {
    const [, most] = this.#keys()
    if (byMs <= 0 || most === null || this.#jumps.at(-1)?.[2] === nowMs) return
    const jumps: Remembered[] = [...this.#jumps, [most, byMs, nowMs]]
    while (jumps.length > jumpsMax) {
      const [first, second] = jumps.splice(0, 2) as [Remembered, Remembered]
      jumps.unshift([second[0], first[1] + second[1], second[2]])
    }
    this.#write(jumps)
  }

  reread(): void {
    this.#jumps = readJumps(this.#db)
  }

  /** Moves the next attempts of one window. Inside the caller's transaction. @returns where to go on, null at the end. */
  shiftStep({ beforeMs, nowMs, byMs }: ClockJump, fromKey: number): number | null {
    const { endKey, hasMore } = windowEnd(this.#db, fromKey, Number.MAX_SAFE_INTEGER)
    const rows = `key >= ? AND key < ? AND state = ${stateCodes.scheduled}`
    if (byMs > 0)
      this.#db
        .prepare(
          `UPDATE recipient SET next_at_ms = next_at_ms + ? WHERE ${rows} AND next_at_ms > ? AND next_at_ms < ?`,
        )
        .run(byMs, fromKey, endKey, beforeMs, beforeMs + byMs)
    else
      this.#db
        .prepare(`UPDATE recipient SET next_at_ms = max(?, next_at_ms + ?) WHERE ${rows} AND next_at_ms > ?`)
        .run(nowMs, byMs, fromKey, endKey, nowMs)
    return hasMore ? endKey : null
  }

  #keys(): [least: number | null, most: number | null] {
    return this.#db.prepare('SELECT min(key), max(key) FROM message').get() as unknown as [number, number]
  }

  #write(jumps: Remembered[]): void {
    this.#jumps = jumps
    this.#db
      .prepare('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)')
      .run(metaName, JSON.stringify(jumps))
  }
}

/** For readers of other threads: what a message's stored expiry must be moved by, as it is now. */
export function expiryShifts(db: Database): (messageKey: number) => number {
  const jumps = readJumps(db)
  return messageKey => shiftOf(jumps, messageKey)
}

/** How far the clock lies behind the newest event: it was set back while nobody ran. 0 when it does not. */
export function clockBehindMs(db: Database, nowMs: number): number {
  const row = db.prepare('SELECT at_ms FROM event ORDER BY seq DESC LIMIT 1').get() as unknown as
    | [number]
    | undefined
  return Math.max(0, (row?.[0] ?? 0) - nowMs)
}

function shiftOf(jumps: readonly Remembered[], messageKey: number): number {
  let byMs = 0
  for (const [untilKey, shiftMs] of jumps) if (messageKey <= untilKey) byMs += shiftMs
  return byMs
}

function readJumps(db: Database): Remembered[] {
  const row = db.prepare('SELECT value FROM meta WHERE name = ?').get(metaName) as unknown as
    | [string]
    | undefined
  return row === undefined ? [] : (JSON.parse(row[0]) as Remembered[])
}
