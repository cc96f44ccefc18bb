// Moves the stored times of waiting mail along when the wall clock jumps, so that waits and lives keep their length.
//
// Place: store thread; told by the main thread (app/clock-guard.ts), and at start when the newest event lies in the future.
//
// | clock   | next attempts                                                        | expiries                             |
// |---------|----------------------------------------------------------------------|--------------------------------------|
// | forward | those that the jump alone would make due wait as long as before       | later by the jump, see below         |
// | back    | all that lie in the future come earlier by the jump, at most to now  | stay, or lose what was added before  |
//
// Rows are moved in steps, without a journal: a step done twice moves a forward row not at all, and a backward row
// earlier, never later. Expiries are not rewritten: each jump is remembered with the newest message it concerns, and when a
// message is read its jumps are added up. A sum below zero counts as none: nothing expires before the time it was accepted
// with, and a clock that goes wrong and is set right leaves lives as they were. What was accepted between a jump and its
// notice counts as accepted after a jump back and before one forward: it may so live longer, never shorter. Nor does a jump
// back count any more once a start finds the clock where it was: it was undone while nobody ran.

import { type ClockJump, clockJumpMsMin } from '../../base/index.ts'
import { stateCodes } from '../format/index.ts'
import type { Database } from './database.ts'
import { windowEnd } from './queue-filter.ts'

const metaName = 'clock_jumps'
/** More than anybody needs; the oldest are then joined. */
const jumpsMax = 50

/** What was accepted between a jump back and here says a time from the jump to now, give or take so much. */
const [earlierMs, laterMs] = [100, 10_000]

/**
 * A jump, for messages up to this key. The newest event of its time is kept, so that a start that finds the clock behind that
 * event knows what of it has been remembered.
 */
type Remembered = [untilKey: number, byMs: number, beforeMs: number, newestSeq?: number]

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
      .map(([untilKey, ...rest]): Remembered => [Math.min(untilKey, most!), ...rest])
    this.#write(kept)
  }

  /** Remembers a jump, once. Inside the caller's transaction; `reread` when that is rolled back. */
  remember({ beforeMs, nowMs, byMs }: ClockJump): void {
    const [, lastByMs, lastBeforeMs] = this.#jumps.at(-1) ?? []
    if (lastBeforeMs === beforeMs && lastByMs === byMs) return
    this.#add(byMs > 0 ? this.#keys()[1] : this.#untilBack(beforeMs + byMs, nowMs), byMs, beforeMs)
  }

  /** At start: remembers by how much the clock was set back while nobody ran, as far as that is not known already. */
  rememberBehind(nowMs: number): void {
    const newest = newestEvent(this.#db)
    let knownMs = 0
    for (const [, byMs, , newestSeq] of this.#jumps) if (newestSeq === newest.seq) knownMs += byMs
    const behindMs = newest.atMs + Math.min(0, knownMs) - nowMs
    if (behindMs >= clockJumpMsMin) this.#add(this.#keys()[1], -behindMs, nowMs + behindMs)
  }

  /**
   * At a start that finds the clock not behind: a jump back that still counts may have been undone while nobody ran, and
   * would then be taken off the next jump ahead. It counts on only for messages of a time that has yet to come.
   */
  forgetUndone(nowMs: number): void {
    if (this.#jumps.length === 0) return
    // Without events: the clock is not behind the newest one, so nothing of that is known.
    const jumps = this.#jumps.map(([untilKey, byMs, beforeMs]): Remembered => [untilKey, byMs, beforeMs])
    const undoneKey = this.#newestUndone(nowMs)
    const raised = undoneKey < 0 ? [] : [...this.#untilKeys().filter(key => key < undoneKey), undoneKey]
    const raises = raised.map(key => Math.max(0, -sumOf(this.#jumps, key)))
    for (const [index, raiseMs] of raises.entries()) {
      // What is added up to one key is added to all before it, too.
      const byMs = raiseMs - (raises[index + 1] ?? 0)
      if (byMs !== 0) jumps.push([raised[index]!, byMs, nowMs])
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

  #add(untilKey: number | null, byMs: number, beforeMs: number): void {
    if (untilKey === null) return
    this.#write([...this.#jumps, [untilKey, byMs, beforeMs, newestEvent(this.#db).seq]])
  }

  #write(jumps: Remembered[]): void {
    while (jumps.length > jumpsMax) {
      const [first, second] = jumps.splice(0, 2) as [Remembered, Remembered]
      // Messages between the two keys get the first one, too: so not when it makes less of their lives.
      const [untilKey, byMs, ...rest] = second
      jumps.unshift([untilKey, byMs + Math.max(0, first[1]), ...rest])
    }
    this.#jumps = jumps
    this.#db
      .prepare('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)')
      .run(metaName, JSON.stringify(jumps))
  }

  /** The newest message that was certainly accepted before the clock went back to `fromMs`. */
  #untilBack(fromMs: number, nowMs: number): number | null {
    const row = this.#db
      .prepare(
        'SELECT key FROM message WHERE accepted_at_ms < ? OR accepted_at_ms > ? ORDER BY key DESC LIMIT 1',
      )
      .get(fromMs - earlierMs, nowMs + laterMs) as unknown as [number] | undefined
    return row?.[0] ?? null
  }

  /** The newest message of a time that has come for which jumps back outweigh those ahead; -1 when there is none. */
  #newestUndone(nowMs: number): number {
    const keys = this.#untilKeys()
    const newest = this.#db.prepare(
      'SELECT key FROM message WHERE key > ? AND key <= ? AND accepted_at_ms < ? ORDER BY key DESC LIMIT 1',
    )
    for (let index = keys.length - 1; index >= 0; index--) {
      if (sumOf(this.#jumps, keys[index]!) >= 0) continue
      const row = newest.get(keys[index - 1] ?? -1, keys[index]!, nowMs + clockJumpMsMin)
      if (row !== undefined) return (row as unknown as [number])[0]
    }
    return -1
  }

  #untilKeys(): number[] {
    return [...new Set(this.#jumps.map(([untilKey]) => untilKey))].sort((a, b) => a - b)
  }

  #keys(): [least: number | null, most: number | null] {
    return this.#db.prepare('SELECT min(key), max(key) FROM message').get() as unknown as [number, number]
  }
}

/** For readers of other threads: what a message's stored expiry must be moved by, as it is now. */
export function expiryShifts(db: Database): (messageKey: number) => number {
  const jumps = readJumps(db)
  return messageKey => shiftOf(jumps, messageKey)
}

/** How far the clock lies behind the newest event: it was set back while nobody ran. 0 when it does not. */
export function clockBehindMs(db: Database, nowMs: number): number {
  return Math.max(0, newestEvent(db).atMs - nowMs)
}

function newestEvent(db: Database): { readonly seq: number; readonly atMs: number } {
  const row = db.prepare('SELECT seq, at_ms FROM event ORDER BY seq DESC LIMIT 1').get()
  const [seq, atMs] = (row as unknown as [number, number] | undefined) ?? [0, 0]
  return { seq, atMs }
}

function shiftOf(jumps: readonly Remembered[], messageKey: number): number {
  return Math.max(0, sumOf(jumps, messageKey))
}

function sumOf(jumps: readonly Remembered[], messageKey: number): number {
  let byMs = 0
  for (const [untilKey, jumpMs] of jumps) if (messageKey <= untilKey) byMs += jumpMs
  return byMs
}

function readJumps(db: Database): Remembered[] {
  const row = db.prepare('SELECT value FROM meta WHERE name = ?').get(metaName) as unknown as
    | [string]
    | undefined
  return row === undefined ? [] : (JSON.parse(row[0]) as Remembered[])
}
