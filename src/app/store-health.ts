// Whether the store takes commits, for /readyz and the log: told by the store thread, asked again while it refuses.
//
// Place: main thread, beside readiness. A refusal is logged at once and then once a minute, its end once; without traffic
// a probe (one small commit) finds out when the disk takes writes again, so that readiness does not wait for a message.

import type { Clock } from '../base/index.ts'
import type { StoreWatch } from '../store/index.ts'
import type { Log } from '../telemetry/index.ts'

const probeEveryMs = 2000
const remindEveryMs = 60_000
/** A disk that refuses now and then, commit by commit, must not flood the log. */
const againEveryMs = 1000

interface Refusing {
  why: string
  readonly sinceMs: number
}

/** See the head of the file. */
export class StoreHealth implements StoreWatch, Disposable {
  readonly #log: Log
  readonly #clock: Clock
  /** Asked while commits are refused; set once the main thread has its line to the store. */
  probe: () => Promise<void> = async () => {}
  #refusing: Refusing | null = null
  #loggedMs = Number.NEGATIVE_INFINITY
  #slowLoggedMs = Number.NEGATIVE_INFINITY
  #isTold = false
  #timer: NodeJS.Timeout | null = null

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** Why the store takes nothing now; null when it does. */
  get trouble(): string | null {
    return this.#refusing === null ? null : `the store takes no writes: ${this.#refusing.why}`
  }

  onRefusing(why: string | null): void {
    if (why === null) this.#recovered()
    else if (this.#refusing === null) this.#begin(why)
    else this.#refusing.why = why
  }

  onSlow(tookMs: number): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#slowLoggedMs < remindEveryMs) return
    this.#slowLoggedMs = nowMs
    this.#log.event('store.slow', { tookMs: Math.round(tookMs) })
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #begin(why: string): void {
    this.#refusing = { why, sinceMs: this.#clock.monotonicMs() }
    this.#timer ??= setInterval(() => this.#ask(), probeEveryMs).unref()
    this.#remind(againEveryMs)
  }

  #ask(): void {
    this.#remind(remindEveryMs)
    // What it finds comes back through onRefusing.
    this.probe().catch(() => {})
  }

  #remind(everyMs: number): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#refusing === null || nowMs - this.#loggedMs < everyMs) return
    this.#loggedMs = nowMs
    this.#isTold = true
    this.#log.event('store.failed', { why: this.#refusing.why })
  }

  #recovered(): void {
    const refusing = this.#refusing
    if (refusing === null) return
    this.#refusing = null
    this[Symbol.dispose]()
    if (!this.#isTold) return
    this.#isTold = false
    const refusedForMs = Math.round(this.#clock.monotonicMs() - refusing.sinceMs)
    this.#log.event('store.writes-again', { refusedForMs })
  }
}
