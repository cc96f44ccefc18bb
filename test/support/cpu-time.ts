// What work costs on this thread, in time on a core: a busy machine makes it wait, and that does not count.

/** Milliseconds on a core, the fastest of so many runs: the first also compiles, and any may collect garbage. */
export function fastestCpuMs(work: () => void, runs: number = 3): number {
  let fastestMs = Number.POSITIVE_INFINITY
  for (let run = 0; run < runs; run++) {
    const before = process.threadCpuUsage()
    work()
    const { user, system } = process.threadCpuUsage(before)
    fastestMs = Math.min(fastestMs, (user + system) / 1000)
  }
  return fastestMs
}

/**
 * Below this nothing can be said of how work grows; what grows with the square is far above
 * it at any length that matters.
 */
const noiseMs = 2
const roundsMax = 4

/**
 * How the cost grows when the input becomes four times as long: 4 where it is linear, 16 where it grows with the
 * square. Measured until it is clearly less than that, or a few times. `work` is given a length, makes the
 * input, and returns what is measured.
 */
export function growthOver4(lengthMax: number, work: (length: number) => () => void): number {
  const [small, large] = [work(lengthMax / 4), work(lengthMax)]
  let [smallMs, largeMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  let growth = Number.POSITIVE_INFINITY
  for (let round = 0; round < roundsMax && growth >= 6; round++) {
    smallMs = Math.min(smallMs, fastestCpuMs(small))
    largeMs = Math.min(largeMs, fastestCpuMs(large))
    growth = largeMs / Math.max(smallMs, noiseMs)
  }
  return growth
}
