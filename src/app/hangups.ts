// SIGHUP from the first moment to the last: by default it would end the process, and systemd takes that for a wanted end.
//
// One that comes before there is anything to reload is remembered; one that comes while everything is closed is let be.

/** Takes all SIGHUP of the process. */
export class Hangups {
  #take: (() => void) | null = null
  #isWaiting = false

  /** The handler is never taken away: it stays until Node itself is taken down. */
  constructor() {
    process.on('SIGHUP', () => {
      if (this.#take === null) this.#isWaiting = true
      else this.#take()
    })
  }

  /** Calls `take` at each from now on, and at once when there has been one. Disposing ends that. */
  handTo(take: () => void): Disposable {
    this.#take = take
    if (this.#isWaiting) take()
    this.#isWaiting = false
    return {
      [Symbol.dispose]: () => {
        this.#take = null
      },
    }
  }
}

/** Takes SIGHUP from now on: for main.ts, which begins with it. */
export function takeHangups(): Hangups {
  return new Hangups()
}
