// Whether the store answers at all, for /readyz and the log: a disk that stands still refuses nothing, it only keeps silent.
//
// Place: main thread, beside store-health.ts, which is told of refusals; a store thread that stands in a call tells nobody.
// So it is asked, one question at a time, which waits behind whatever is under way. Looks are counted and not time: a pause
// of the whole process is no silence of the store.

import type { Clock } from '../base/index.ts'
import type { Log } from '../telemetry/index.ts'

const everyMs = 5000
/** So many looks without an answer are silence: ten seconds. */
const looksMax = 2
const remindEveryLooks = 12

/** See the head of the file. */
export class StoreAnswers implements Disposable {
  readonly #ask: () => Promise<unknown>
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #log: Pick<Log, 'event'>
  readonly #timer: NodeJS.Timeout
  #isAsking = false
  #askedMs = 0
  /** While the question waits. */
  #looks = 0

  /** @param ask anything that the store thread answers; nothing need be written for it */
  constructor(ask: () => Promise<unknown>, clock: Pick<Clock, 'monotonicMs'>, log: Pick<Log, 'event'>) {
    this.#ask = ask
    this.#clock = clock
    this.#log = log
    this.#timer = setInterval(() => this.look(), everyMs)
    this.#timer.unref()
  }

  /** For how long the store has been silent; null when it answers. */
  get trouble(): string | null {
    return this.#looks < looksMax
      ? null
      : `the store has not answered for ${Math.round(this.#silentMs / 1000)} s: look at the disk`
  }

  /** Asks, unless the question before still waits. */
  look(): void {
    if (this.#isAsking) {
      this.#looks++
      const { trouble } = this
      if (trouble !== null && (this.#looks - looksMax) % remindEveryLooks === 0)
        this.#log.event('store.failed', { why: trouble })
      return
    }
    this.#isAsking = true
    this.#askedMs = this.#clock.monotonicMs()
    this.#ask().then(
      () => this.#answered(),
      // The store is closed or its thread is gone: the process ends, and serve.ts says why.
      () => undefined,
    )
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  get #silentMs(): number {
    return this.#clock.monotonicMs() - this.#askedMs
  }

  #answered(): void {
    const wasSilent = this.trouble !== null
    this.#isAsking = false
    this.#looks = 0
    if (wasSilent) this.#log.event('store.writes-again', { refusedForMs: Math.round(this.#silentMs) })
  }
}
