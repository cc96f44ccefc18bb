// Waiting times: nobody waits long for a turn that is his.
//
// An undisturbed recipient is one whose site has been well or slow, and the process left alone, for a while before and
// since its turn came. Urgent mail and mail of small accounts must then be tried soon, however much a large account has
// waiting for the same site; anything that is due must be taken up, and what is taken up must come to an outcome.

import { type Entry, fail } from './entry.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { World } from './world.ts'

/** After trouble hosts are left alone for a time, and what has piled up is worked off. */
const calmMs = 20 * 60_000
/** The first attempt of urgent mail and of small accounts: what a lease loop may sleep is part of it. */
const fairMs = 60_000
/** Anything in anybody's hands, and anything due. */
const stuckMs = 40 * 60_000
const largeAccount = 1

export class Fairness {
  readonly #time: VirtualTime
  readonly #world: World
  #disturbedMs = 0
  /** Recipients whose waiting was judged. */
  judged = 0
  /** The longest of these waits. */
  slowestMs = 0

  constructor(time: VirtualTime, world: World) {
    this.#time = time
    this.#world = world
  }

  /** Something happened to the process: crash, restart, operator, disk, clock. */
  disturbed(): void {
    this.#disturbedMs = this.#time.monotonicMs()
  }

  check(entries: Iterable<Entry>): void {
    for (const entry of entries) this.#checkOne(entry)
  }

  #checkOne(entry: Entry): void {
    const nowMs = this.#time.monotonicMs()
    if (entry.state === 'held') return
    const isDue = entry.owner !== null || entry.nextAttemptAtMs <= this.#time.nowMs()
    if (!isDue) return
    const dueMs =
      entry.owner !== null
        ? entry.sinceMs
        : Math.max(entry.sinceMs, nowMs - (this.#time.nowMs() - entry.nextAttemptAtMs))
    const waitedMs = nowMs - dueMs
    const calmSinceMs = Math.max(this.#disturbedMs, this.#siteChangedMs(entry))
    if (nowMs - Math.max(dueMs, calmSinceMs + calmMs) > stuckMs)
      fail(
        `${entry.path} has been due or in hand for ${Math.round(waitedMs / 1000)} s (${entry.owner === null ? 'in the store' : `in thread ${entry.owner}`})`,
      )
    if (entry.attempts === 0 && entry.firstAttemptMs === null) this.#judge(entry, nowMs - entry.acceptedMs)
  }

  /** Its first transaction begins: how long did it wait? */
  firstAttempt(entry: Entry): void {
    if (this.#judge(entry, this.#time.monotonicMs() - entry.acceptedMs)) this.judged++
  }

  /** @returns false when trouble has to do with it. */
  #judge(entry: Entry, waitedMs: number): boolean {
    const isPreferred = entry.priority === 0 || entry.accountKey !== largeAccount
    if (!isPreferred || entry.isReport) return false
    const calmSinceMs = Math.max(this.#disturbedMs, this.#siteChangedMs(entry))
    if (entry.acceptedMs < calmSinceMs + calmMs) return false
    if (waitedMs > fairMs)
      fail(
        `${entry.path} of account ${entry.accountKey}, priority ${entry.priority}, has waited ${Math.round(waitedMs / 1000)} s for its first attempt (${JSON.stringify({ ...entry, site: this.#world.siteOf(entry.path.slice(entry.path.indexOf('@') + 1))?.weather, now: this.#time.monotonicMs() })})`,
      )
    this.slowestMs = Math.max(this.slowestMs, waitedMs)
    return true
  }

  #siteChangedMs({ path }: Entry): number {
    const site = this.#world.siteOf(path.slice(path.indexOf('@') + 1))
    if (site === undefined) return Number.NEGATIVE_INFINITY
    return site.weather === 'well' || site.weather === 'slow' ? site.changedMs : Number.POSITIVE_INFINITY
  }
}
