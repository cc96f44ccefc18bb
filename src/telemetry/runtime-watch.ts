// Watches the runtime of one thread: how late its event loop is, and how much memory it holds.
//
// Place on the path: beside it. The histogram of the loop is the platform's own and costs nothing while nobody asks;
// it starts anew after each scrape.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

export class RuntimeWatch {
  readonly #metrics: Metrics
  readonly #isMain: boolean
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>

  /** @param isMain the main thread also tells the memory of the process. */
  constructor(metrics: Metrics, isMain: boolean) {
    this.#metrics = metrics
    this.#isMain = isMain
    this.#delay = monitorEventLoopDelay({ resolution: resolutionMs })
    this.#delay.enable()
  }

  /** Writes the values into the metrics; called right before they are collected. */
  sample(): void {
    const { eventLoopDelay, memory } = this.#metrics
    for (const [quantile, percent] of [
      ['0.5', 50],
      ['0.99', 99],
      ['1', 100],
    ] as const)
      eventLoopDelay.set(lateSeconds(this.#delay.percentile(percent)), quantile)
    this.#delay.reset()
    const { rss, heapUsed, external } = process.memoryUsage()
    if (this.#isMain) memory.set(rss, 'resident')
    memory.set(heapUsed, 'heap')
    memory.set(external, 'external')
  }

  [Symbol.dispose](): void {
    this.#delay.disable()
  }
}

const resolutionMs = 20

/** The histogram holds whole intervals: what exceeds the interval is delay. */
function lateSeconds(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e9 - resolutionMs / 1000)
}
