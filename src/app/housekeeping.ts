// Idle work of the main thread: old events leave the log, segments without live content leave the disk.
//
// Runs once an hour and soon after the start, in steps of the store's own, so that no message waits for it. Whether
// segments can be deleted at all is looked at right at the start, too: then somebody is watching.
//
// What is deleted is gone, and a clock may be set wrong for a while: when it jumps ahead, nothing is old by it for a day.

import type { Clock } from '../base/index.ts'
import type { Log } from '../telemetry/index.ts'
import type { MainParts } from './main-parts.ts'

/** What it needs of them. */
export interface HousekeepingParts {
  readonly store: { readonly control: Pick<MainParts['store']['control'], 'pruneEvents' | 'sweepSegments'> }
  readonly config: Pick<MainParts['config'], 'retention'>
}

const everyMs = 3_600_000
const firstAfterMs = 60_000
const looksADay = 24

/** Works until it is disposed. */
export class Housekeeping implements Disposable {
  readonly #parts: HousekeepingParts
  readonly #clock: Clock
  readonly #log: Pick<Log, 'event'>
  /** By how much the wall clock was ahead of the monotonic one, at each look of the last day. */
  readonly #aheadMs: number[]
  readonly #timers: NodeJS.Timeout[]
  /** Why no segment can be deleted, once that is in the log. */
  #toldWhy: string | null = null

  constructor(parts: HousekeepingParts, clock: Clock, log: Pick<Log, 'event'>) {
    this.#parts = parts
    this.#clock = clock
    this.#log = log
    this.#aheadMs = [clock.nowMs() - clock.monotonicMs()]
    const work = (): void => void this.#work()
    this.#timers = [setTimeout(work, firstAfterMs), setInterval(work, everyMs)]
    for (const timer of this.#timers) timer.unref()
    void this.#try(() => this.#sweep())
  }

  async #work(): Promise<void> {
    const { store, config } = this.#parts
    // Segments first, and each by itself: they make room on a full disk, where no event can be deleted.
    await this.#try(() => this.#sweep())
    await this.#try(() => store.control.pruneEvents(this.#steadyNowMs() - config.retention.eventsMs))
  }

  /** The wall clock, without what it jumped ahead within a day. */
  #steadyNowMs(): number {
    const monotonicMs = this.#clock.monotonicMs()
    this.#aheadMs.push(this.#clock.nowMs() - monotonicMs)
    if (this.#aheadMs.length > looksADay) this.#aheadMs.shift()
    return Math.round(monotonicMs + Math.min(...this.#aheadMs))
  }

  async #sweep(): Promise<void> {
    const fault = await this.#parts.store.control.sweepSegments()
    if (fault !== null && fault.why !== this.#toldWhy) this.#log.event('store.segments-kept', { ...fault })
    this.#toldWhy = fault?.why ?? null
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#log.event('store.failed', { err: error, during: 'housekeeping' })
    }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }
}
