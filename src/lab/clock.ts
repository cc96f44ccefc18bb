// The lab's clock: the machine's own, or one that stands still until a test moves it.
//
// Greylisting, slow replies and tests of retry and expiry read it; nothing in the lab reads another clock.
// Invariant of the movable clock: sleepers wake in the order of their times, each at exactly its time.

import { type Clock, systemClock } from '../base/index.ts'

/** A clock that can also wait. */
export interface LabClock extends Clock {
  /** Resolves after so many milliseconds of this clock. */
  sleep(ms: number): Promise<void>
}

/** A clock that only moves when told. */
export interface MovableClock extends LabClock {
  /** Moves both times on and wakes the sleepers that are due; resolves when what they did at once is done. */
  advance(ms: number): Promise<void>
  /** Sets the calendar time, as an operator or NTP does; the monotonic time and sleepers do not notice. */
  set(nowMs: number): void
  /** How many sleep now. */
  readonly sleepers: number
}

/** The machine's clock; sleeping does not keep the process alive. */
export const systemLabClock: LabClock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs(),
  sleep: ms => new Promise(resolve => setTimeout(resolve, ms).unref()),
}

interface Sleeper {
  readonly dueMs: number
  readonly wake: () => void
}

class StandingClock implements MovableClock {
  #nowMs: number
  #monotonicMs = 0
  #sleepers: Sleeper[] = []

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  get sleepers(): number {
    return this.#sleepers.length
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  sleep(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    return new Promise(wake => this.#sleepers.push({ dueMs: this.#monotonicMs + ms, wake }))
  }

  set(nowMs: number): void {
    this.#nowMs = nowMs
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms
    for (let next = this.#takeDue(endMs); next !== undefined; next = this.#takeDue(endMs)) {
      this.#moveTo(next.dueMs)
      next.wake()
      // Let the sleeper go on, so that it may sleep again inside of this step.
      await new Promise(resolve => setImmediate(resolve))
    }
    this.#moveTo(endMs)
  }

  #takeDue(endMs: number): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of this.#sleepers)
      if (sleeper.dueMs <= endMs && (first === undefined || sleeper.dueMs < first.dueMs)) first = sleeper
    if (first !== undefined) this.#sleepers = this.#sleepers.filter(one => one !== first)
    return first
  }

  #moveTo(monotonicMs: number): void {
    if (monotonicMs <= this.#monotonicMs) return
    this.#nowMs += monotonicMs - this.#monotonicMs
    this.#monotonicMs = monotonicMs
  }
}

/** A clock that stands at `nowMs` (default: 2030-01-01, 00:00 UTC) until it is moved. */
export function createLabClock(nowMs: number = Date.UTC(2030, 0, 1)): MovableClock {
  return new StandingClock(nowMs)
}
