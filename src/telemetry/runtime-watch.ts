// Watches the runtime of one thread: how late its event loop is, and how much memory it holds.
//
// Place on the path: beside it. A timer of its own notes how late it was; what it noted starts anew after each scrape.
// Not the platform's `monitorEventLoopDelay`: that forgets at each reset when it was last round, and so never sees a
// loop that stands still right after a scrape, or because of it.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

/** A turn of the loop that took long enough to be told by itself. */
export interface LateTurn {
  /** How much later than it should have the loop came round, milliseconds. */
  readonly lateMs: number
  /**
   * What of that the thread computed, milliseconds, collections of its heap included. About as much as `lateMs`: the
   * work was ours. Far less: it waited, for a core, a disk or another process.
   */
  readonly cpuMs: number
}

export class RuntimeWatch {
  readonly #metrics: Metrics
  readonly #isMain: boolean
  /** In microseconds. */
  readonly #delay: RecordableHistogram = createHistogram({ lowest: 1, highest: delayUsMax, figures: 3 })
  readonly #timer: NodeJS.Timeout
  readonly #onLate: (turn: LateTurn) => void
  #lastMs: number = performance.now()
  #lastCpuMs: number = cpuSoFarMs()

  /**
   * @param isMain the main thread also tells the memory of the process
   * @param onLate the loop was late by {@link toldFromMs} or more
   */
  constructor(metrics: Metrics, isMain: boolean, onLate: (turn: LateTurn) => void) {
    this.#metrics = metrics
    this.#isMain = isMain
    this.#onLate = onLate
    this.#timer = setInterval(() => this.#round(), intervalMs).unref()
  }

  #round(): void {
    const nowMs = performance.now()
    const cpuMs = cpuSoFarMs()
    const lateMs = nowMs - this.#lastMs - intervalMs
    this.#delay.record(Math.min(delayUsMax, Math.max(1, Math.round(lateMs * 1000))))
    if (lateMs >= toldFromMs)
      this.#onLate({ lateMs: Math.round(lateMs), cpuMs: Math.round(cpuMs - this.#lastCpuMs) })
    this.#lastMs = nowMs
    this.#lastCpuMs = cpuMs
  }

  /** Writes the values into the metrics; called right before they are collected. */
  sample(): void {
    const { eventLoopDelay, memory } = this.#metrics
    // A scrape may be served before the timer that is late.
    this.#round()
    for (const [quantile, percent] of [
      ['0.5', 50],
      ['0.99', 99],
      ['1', 100],
    ] as const)
      eventLoopDelay.set(this.#delay.percentile(percent) / 1e6, quantile)
    this.#delay.reset()
    const { rss, heapUsed, external } = process.memoryUsage()
    if (this.#isMain) memory.set(rss, 'resident')
    memory.set(heapUsed, 'heap')
    memory.set(external, 'external')
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function cpuSoFarMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

const intervalMs = 20
/** From here on clients and receivers notice. */
export const toldFromMs = 200
/** An hour: a process that was stopped, or a machine that slept. */
const delayUsMax = 3_600_000_000
