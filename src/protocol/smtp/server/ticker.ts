// A coarse clock shared by all sessions of a thread: one timer instead of one a command.
//
// The hot path only reads `nowMs` and stores it; about once a second every session looks at its own deadlines. What has come
// meanwhile is read before that: after a pause of the whole process (a frozen container, swapping, a hanging disk) nobody is
// taken for silent whose answer lies there.

/** Something with deadlines. */
export interface Ticking {
  /** `nowMs` is monotonic. */
  tick(nowMs: number): void
}

/** The shared clock. */
export interface Ticker {
  /** Monotonic milliseconds as of the last tick: cheap, about a second coarse. */
  readonly nowMs: number
  add(ticking: Ticking): void
  delete(ticking: Ticking): void
}

/** A ticker that must be stopped by its owner. */
export interface RunningTicker extends Ticker, Disposable {}

/** Starts a ticker. `nowMs` defaults to the monotonic clock; the timer never keeps the process alive. */
export function startTicker(
  options: { readonly intervalMs?: number; readonly nowMs?: () => number } = {},
): RunningTicker {
  const readClock = options.nowMs ?? (() => performance.now())
  const members = new Set<Ticking>()
  let nowMs = readClock()
  let isStopped = false
  const look = (): void => {
    if (!isStopped) for (const member of members) member.tick(nowMs)
  }
  // Timers come first in a turn of the event loop, then what can be read, then this.
  const timer = setInterval(() => {
    nowMs = readClock()
    setImmediate(look).unref()
  }, options.intervalMs ?? 1000)
  timer.unref()
  return {
    get nowMs() {
      return nowMs
    },
    add: ticking => void members.add(ticking),
    delete: ticking => void members.delete(ticking),
    [Symbol.dispose]: () => {
      isStopped = true
      clearInterval(timer)
    },
  }
}
