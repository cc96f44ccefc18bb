// What the store thread tells of its commits, put into the metrics at a scrape.
//
// Place: main thread. The question waits behind the commit that is under way, on a disk that stands still for as long as
// that does: a scrape waits for a moment, and what comes later is in the next one. One question at a time, since an answer
// holds what came after the one before.

import type { ThreadStore } from '../store/index.ts'
import type { Metrics } from '../telemetry/index.ts'
import { inTime } from './in-time.ts'

type CommitMetrics = Pick<Metrics, 'commitSeconds' | 'commitSize' | 'commitsFailed'>

/** See the head of the file. */
export class CommitNotes {
  readonly #take: ThreadStore['commitFacts']
  readonly #metrics: CommitMetrics
  readonly #patienceMs: number
  #noting: Promise<void> | null = null

  constructor(take: ThreadStore['commitFacts'], metrics: CommitMetrics, patienceMs: number) {
    this.#take = take
    this.#metrics = metrics
    this.#patienceMs = patienceMs
  }

  /** Adds what came since the last time, if it can be had in time. Rejects when the store is gone. */
  async note(): Promise<void> {
    this.#noting ??= this.#begin()
    await inTime(this.#noting, this.#patienceMs)
  }

  #begin(): Promise<void> {
    const noting = this.#add().finally(() => {
      this.#noting = null
    })
    // It may fail when nobody waits any more.
    noting.catch(() => undefined)
    return noting
  }

  async #add(): Promise<void> {
    const { samples, failed } = await this.#take()
    for (let at = 0; at < samples.length; at += 2) {
      this.#metrics.commitSeconds.observe(samples[at]! / 1000)
      this.#metrics.commitSize.observe(samples[at + 1]!)
    }
    this.#metrics.commitsFailed.value = failed
  }
}
