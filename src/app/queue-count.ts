// The queue's length for a scrape: counting millions of rows takes longer than a scraper waits.
//
// Place on the path: off it. A count that takes longer than the patience goes on behind the scrape, which shows the one
// before; one count at a time, and none anew while the last is young.

import type { Clock } from '../base/index.ts'
import type { Gauge } from '../telemetry/index.ts'
import { inTime } from './in-time.ts'

/** Recipients by state. */
export type QueueCounts = Readonly<Record<string, number>>

export interface QueueCountOptions {
  /** A count of this age or younger is shown again, milliseconds. */
  readonly ageMsMax: number
  /** How long a scrape waits for a new one, milliseconds. */
  readonly patienceMs: number
}

/** Counts when asked, and remembers. */
export class QueueCount {
  readonly #count: () => Promise<QueueCounts>
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #options: QueueCountOptions
  #latest: QueueCounts | null = null
  #countedMs = Number.NEGATIVE_INFINITY
  #counting: Promise<void> | null = null

  constructor(
    count: () => Promise<QueueCounts>,
    clock: Pick<Clock, 'monotonicMs'>,
    options: QueueCountOptions,
  ) {
    this.#count = count
    this.#clock = clock
    this.#options = options
  }

  /** The newest count that can be had in time; null before there is any. Rejects when counting does, in time. */
  async latest(): Promise<QueueCounts | null> {
    if (this.#counting === null && this.#clock.monotonicMs() - this.#countedMs <= this.#options.ageMsMax)
      return this.#latest
    this.#counting ??= this.#begin()
    await inTime(this.#counting, this.#options.patienceMs)
    return this.#latest
  }

  /** Puts the newest count into a gauge. Who cannot read the database has other things to tell: the gauge is empty then. */
  async show(gauge: Gauge): Promise<void> {
    const counts = await this.latest().catch(() => null)
    gauge.clear()
    for (const [state, count] of Object.entries(counts ?? {})) gauge.set(count, state)
  }

  #begin(): Promise<void> {
    const counting = this.#count()
      .then(counts => {
        this.#latest = counts
        this.#countedMs = this.#clock.monotonicMs()
      })
      .finally(() => {
        this.#counting = null
      })
    // When it fails after the patience is over, the next scrape tries again.
    counting.catch(() => undefined)
    return counting
  }
}
