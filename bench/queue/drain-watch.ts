/**
 * Watches a queue being drained, by what its receivers have taken. It always ends: when nothing came for too long, the drain
 * stands still, and whoever waits is told instead of waiting on.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { nowMs } from '../traffic/index.ts'

export interface DrainWatchOptions {
  /** Recipients that the receivers have taken so far. */
  readonly came: () => Promise<number>
  readonly lookEveryMs: number
  /** Without any arrival for so long the drain stands still. */
  readonly stallMs: number
}

export class DrainWatch {
  readonly #options: DrainWatchOptions
  #came = -1
  #lastAtMs = nowMs()
  #longestPauseMs = 0

  constructor(options: DrainWatchOptions) {
    this.#options = options
  }

  /** The longest time without an arrival while somebody watched, milliseconds. */
  get longestPauseMs(): number {
    return this.#longestPauseMs
  }

  /**
   * Looks again and again until it is enough. From its first look on pauses count.
   * @returns false: it stood still before.
   */
  async until(isEnough: (came: number) => boolean | Promise<boolean>): Promise<boolean> {
    const { lookEveryMs, stallMs } = this.#options
    this.#came = await this.#options.came()
    this.#lastAtMs = nowMs()
    for (;;) {
      // Before the look at what is asked for: a count of the queue takes its time, and is none of the drain's.
      if (await isEnough(this.#came)) return true
      await delay(lookEveryMs)
      const came = await this.#options.came()
      const pauseMs = nowMs() - this.#lastAtMs
      this.#longestPauseMs = Math.max(this.#longestPauseMs, pauseMs)
      if (came !== this.#came) {
        this.#came = came
        this.#lastAtMs = nowMs()
      } else if (pauseMs > stallMs) return false
    }
  }
}
