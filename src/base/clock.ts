// Time and randomness as things that are passed in, and one coarse ticker instead of a timer a connection.
//
// Wall-clock time (nowMs) goes into the store; deadlines use the monotonic clock (monotonicMs).

/** Where time comes from. Tests and the lab hand in one they can move. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  nowMs(): number
  /** Milliseconds that never go back; no relation to the calendar. */
  monotonicMs(): number
}

/** The machine's own clock. */
export const systemClock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }

/** Something with deadlines: told the monotonic time about once a second. */
export interface Ticked {
  tick(monotonicMs: number): void
}

/** Tells many objects the time by one timer. */
export class Ticker {
  readonly #members = new Set<Ticked>()
  readonly #clock: Clock
  readonly #periodMs: number
  #timer: NodeJS.Timeout | null = null

  /** @param periodMs how often, 1,000 by default. */
  constructor(clock: Clock, periodMs: number = 1000) {
    this.#clock = clock
    this.#periodMs = periodMs
  }

  add(member: Ticked): void {
    this.#members.add(member)
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#run(), this.#periodMs)
      this.#timer.unref()
    }
  }

  delete(member: Ticked): void {
    this.#members.delete(member)
    if (this.#members.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer)
      this.#timer = null
    }
  }

  #run(): void {
    const now = this.#clock.monotonicMs()
    for (const member of this.#members) member.tick(now)
  }
}
