// How long the last commits took and how many operations shared each: kept for the next scrape of the metrics.
//
// Place: beside the group commit, in the store thread. Bounded: when nobody asks, the oldest samples are overwritten.

/** Samples kept between two scrapes: about 15 seconds of a busy store. */
const samplesMax = 16_384

/** What a scrape takes. */
export interface CommitFacts {
  /** Duration in milliseconds and number of operations, in turn. */
  readonly samples: Float64Array
  /** Commits that failed since the start. */
  readonly failed: number
}

/** A ring of samples. */
export class CommitSamples {
  readonly #samples: Float64Array = new Float64Array(samplesMax * 2)
  #count = 0
  #failed = 0

  add(durationMs: number, operations: number): void {
    const at = (this.#count++ % samplesMax) * 2
    this.#samples[at] = durationMs
    this.#samples[at + 1] = operations
  }

  addFailure(): void {
    this.#failed++
  }

  /** What came since the last call. */
  take(): CommitFacts {
    const samples = this.#samples.slice(0, Math.min(this.#count, samplesMax) * 2)
    this.#count = 0
    return { samples, failed: this.#failed }
  }
}
