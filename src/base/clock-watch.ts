// Notices that the wall clock jumped: it is compared with the monotonic clock at each look.
//
// Wall-clock times are what the store keeps, and somebody may set the clock (an operator, NTP after a boot without a
// battery, a machine that slept). Small steps do no harm to retries and expiries, so they are taken in silence.

import type { Clock } from './clock.ts'

/** Smaller steps are not worth moving a queue for. */
export const clockJumpMsMin = 30_000

/** The wall clock moved on its own. */
export interface ClockJump {
  /** What the clock said at the look before, when it was still right. */
  readonly beforeMs: number
  /** What it says now. */
  readonly nowMs: number
  /** By how much it moved besides the time that passed; negative: back. */
  readonly byMs: number
}

/** See the head of the file. */
export class ClockWatch {
  readonly #clock: Clock
  #wallMs: number
  #monotonicMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#wallMs = clock.nowMs()
    this.#monotonicMs = clock.monotonicMs()
  }

  /** The jump since the last look, null for none. Each jump is told once. */
  look(): ClockJump | null {
    const nowMs = this.#clock.nowMs()
    const monotonicMs = this.#clock.monotonicMs()
    const beforeMs = this.#wallMs
    const byMs = Math.round(nowMs - beforeMs - (monotonicMs - this.#monotonicMs))
    this.#wallMs = nowMs
    this.#monotonicMs = monotonicMs
    return Math.abs(byMs) < clockJumpMsMin ? null : { beforeMs, nowMs, byMs }
  }
}
