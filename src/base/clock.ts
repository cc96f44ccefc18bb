// Time as a thing that is passed in.
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
