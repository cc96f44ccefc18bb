// Bounded concurrency: so many at once, the rest wait, and even the waiting are bounded.
//
// Those who ask take turns, and each one's own come in order: who asks ten thousand questions that nobody answers waits
// for himself. Invariant: nobody waits while there is a free slot.

/** A counting semaphore with a bounded line for each asker. */
export class Slots {
  readonly #max: number
  readonly #waitingMax: number
  /** By asker, who was served last at the end; none of them is empty. */
  readonly #lines = new Map<number, Set<() => void>>()
  #used = 0
  #waiting = 0

  constructor(max: number, waitingMax: number) {
    this.#max = max
    this.#waitingMax = waitingMax
  }

  /** Taken and waiting, for metrics. */
  get load(): { readonly used: number; readonly waiting: number } {
    return { used: this.#used, waiting: this.#waiting }
  }

  /** Waits for a slot; `full` when too many wait already, `aborted` when the signal came first. */
  take(signal: AbortSignal, asker: number): Promise<'taken' | 'full' | 'aborted'> {
    if (signal.aborted) return Promise.resolve('aborted')
    if (this.#used < this.#max) {
      this.#used++
      return Promise.resolve('taken')
    }
    if (this.#waiting >= this.#waitingMax) return Promise.resolve('full')
    return new Promise(resolve => {
      const onAbort = (): void => {
        this.#leave(asker, go)
        resolve('aborted')
      }
      const go = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve('taken')
      }
      this.#enter(asker, go)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Gives a slot back: it passes to the longest waiting question of the asker whose turn it is. */
  release(): void {
    for (const [asker, line] of this.#lines) {
      for (const go of line) {
        this.#leave(asker, go)
        if (line.size > 0) {
          this.#lines.delete(asker)
          this.#lines.set(asker, line)
        }
        go()
        return
      }
    }
    this.#used--
  }

  #enter(asker: number, go: () => void): void {
    const line = this.#lines.get(asker)
    if (line === undefined) this.#lines.set(asker, new Set([go]))
    else line.add(go)
    this.#waiting++
  }

  #leave(asker: number, go: () => void): void {
    const line = this.#lines.get(asker)
    if (line?.delete(go) !== true) return
    this.#waiting--
    if (line.size === 0) this.#lines.delete(asker)
  }
}
