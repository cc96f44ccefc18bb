// Bounded concurrency: so many at once, the rest wait in order, and even the waiting are bounded.

/** A counting semaphore with a bounded queue. */
export class Slots {
  readonly #max: number
  readonly #waitingMax: number
  #used = 0
  readonly #waiting = new Set<() => void>()

  constructor(max: number, waitingMax: number) {
    this.#max = max
    this.#waitingMax = waitingMax
  }

  /** Taken and waiting, for metrics. */
  get load(): { readonly used: number; readonly waiting: number } {
    return { used: this.#used, waiting: this.#waiting.size }
  }

  /** Waits for a slot; `full` when too many wait already, `aborted` when the signal came first. */
  take(signal: AbortSignal): Promise<'taken' | 'full' | 'aborted'> {
    if (signal.aborted) return Promise.resolve('aborted')
    if (this.#used < this.#max) {
      this.#used++
      return Promise.resolve('taken')
    }
    if (this.#waiting.size >= this.#waitingMax) return Promise.resolve('full')
    return new Promise(resolve => {
      const onAbort = (): void => {
        this.#waiting.delete(go)
        resolve('aborted')
      }
      const go = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve('taken')
      }
      this.#waiting.add(go)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Gives a slot back: it passes to the longest waiting. */
  release(): void {
    const next = this.#waiting.values().next()
    if (next.done === true) {
      this.#used--
      return
    }
    this.#waiting.delete(next.value)
    next.value()
  }
}
