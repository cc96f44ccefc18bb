// How long commits took and how many operations shared each, counted since the start, for the metrics.
//
// Place: beside the group commit, in the store thread. Every commit counts, however seldom somebody asks.

import { type Counted, Distribution, groupBounds, latencyBounds } from '../../base/index.ts'

/** What a scrape is told: everything since the start. */
export interface CommitFacts {
  /** Durations, in seconds. */
  readonly seconds: Counted
  readonly operations: Counted
  /** Commits that failed. */
  readonly failed: number
}

export class CommitTally {
  readonly #seconds: Distribution = new Distribution(latencyBounds)
  readonly #operations: Distribution = new Distribution(groupBounds)
  #failed = 0

  add(durationMs: number, operations: number): void {
    this.#seconds.observe(durationMs / 1000)
    this.#operations.observe(operations)
  }

  addFailure(): void {
    this.#failed++
  }

  facts(): CommitFacts {
    return {
      seconds: this.#seconds.counted(),
      operations: this.#operations.counted(),
      failed: this.#failed,
    }
  }
}
