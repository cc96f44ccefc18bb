// What the store thread tells of its commits, put into the metrics at a scrape.
//
// Place: main thread. The question waits behind the commit that is under way, on a disk that stands still for as long as
// that does: a scrape waits for a moment, and what comes later is in the next one. One question at a time: they must not
// gather before a disk that stands still.

import type { ThreadStore } from '../store/index.ts'
import type { Metrics } from '../telemetry/index.ts'
import { inTime } from './in-time.ts'

type CommitMetrics = Pick<Metrics, 'commitSeconds' | 'commitSize' | 'commitsFailed'>

/** See the head of the file. */
export class CommitNotes {
  readonly #ask: ThreadStore['commitFacts']
  readonly #metrics: CommitMetrics
  readonly #patienceMs: number
  #noting: Promise<void> | null = null

  constructor(ask: ThreadStore['commitFacts'], metrics: CommitMetrics, patienceMs: number) {
    this.#ask = ask
    this.#metrics = metrics
    this.#patienceMs = patienceMs
  }

  /** Puts in what the store has counted since the start, if it can be had in time. Rejects when the store is gone. */
  async note(): Promise<void> {
    this.#noting ??= this.#begin()
    await inTime(this.#noting, this.#patienceMs)
  }

  #begin(): Promise<void> {
    const noting = this.#put().finally(() => {
      this.#noting = null
    })
    // It may fail when nobody waits any more.
    noting.catch(() => undefined)
    return noting
  }

  async #put(): Promise<void> {
    const { seconds, operations, failed } = await this.#ask()
    this.#metrics.commitSeconds.become(seconds)
    this.#metrics.commitSize.become(operations)
    this.#metrics.commitsFailed.value = failed
  }
}
