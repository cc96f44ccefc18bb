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

/** Where waiting comes from: the other half of time that is passed in. */
export interface Timers {
  /** Calls back once after `delayMs`; the returned function cancels. Never keeps the process alive. */
  after(delayMs: number, run: () => void): () => void
}

/** The machine's own timers. */
export const systemTimers: Timers = {
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
