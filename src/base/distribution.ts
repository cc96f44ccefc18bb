// Values counted by size: what a histogram of the metrics is made of, in whatever thread the values come up.
//
// The bounds stand here since two rooms must agree on them that do not know each other: the store counts its commits in
// its own thread, and the metrics of the main thread show them.

/** Seconds, from a millisecond to ten minutes. */
export const latencyBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600,
]
/** Operations that share a commit. */
export const groupBounds: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

/** All values so far. */
export interface Counted {
  /** How many lie in each step, the one above the last bound included. */
  readonly counts: Float64Array
  readonly sum: number
}

/** Counts values by size; fixed memory, whatever comes. */
export class Distribution {
  readonly bounds: readonly number[]
  #counts: Float64Array
  #sum = 0

  /** @param bounds upper bounds, ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let i = 0
    while (i < this.bounds.length && value > this.bounds[i]!) i++
    this.#counts[i]!++
    this.#sum += value
  }

  /** A copy, for another thread. */
  counted(): Counted {
    return { counts: this.#counts.slice(), sum: this.#sum }
  }

  /** From now on it has counted what somebody else has, with the same bounds. */
  become({ counts, sum }: Counted): void {
    if (counts.length !== this.#counts.length) throw new Error('counted with other bounds')
    this.#counts = counts
    this.#sum = sum
  }
}
