// Looks after the wall clock: when it jumps, waiting mail moves along before anything is leased by the new time.
//
// Place: main thread. It looks once a second itself; relay threads look before each lease and wait here. A jump is told
// in the log once. While the disk refuses, the moving is tried again: nothing is leased until it is done.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, type ClockJump, ClockWatch } from '../base/index.ts'
import type { Log } from '../telemetry/index.ts'

const everyMs = 1000
const retryMs = 2000

/** See the head of the file. */
export class ClockGuard implements Disposable {
  readonly #watch: ClockWatch
  readonly #move: (jump: ClockJump) => Promise<void>
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #moving: Promise<void> = Promise.resolve()
  #isClosed = false

  /** @param move moves the stored times along; may be called again after it failed */
  constructor(clock: Clock, move: (jump: ClockJump) => Promise<void>, log: Log) {
    this.#watch = new ClockWatch(clock)
    this.#move = move
    this.#log = log
    this.#timer = setInterval(() => void this.look(), everyMs)
    this.#timer.unref()
  }

  /** Resolves when the stored times fit the clock. */
  look(): Promise<void> {
    const jump = this.#watch.look()
    if (jump !== null) {
      this.#log.event('clock.jumped', { byMs: jump.byMs })
      this.#moving = this.#moving.then(() => this.#moveAlong(jump))
    }
    return this.#moving
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearInterval(this.#timer)
  }

  async #moveAlong(jump: ClockJump): Promise<void> {
    while (!this.#isClosed) {
      try {
        return await this.#move(jump)
      } catch {
        // The store says itself what is wrong with the disk (store-health.ts).
        await sleep(retryMs, undefined, { ref: false })
      }
    }
  }
}
