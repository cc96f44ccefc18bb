/** Resident memory of servers, sampled four times a second; the highest since the last look is what is told. */
import type { Postrider } from '../../test/support/postrider.ts'
import { residentMib } from '../scale/server.ts'

const everyMs = 250

export class MemoryWatch implements Disposable {
  readonly #timer: NodeJS.Timeout
  #pid = 0
  #highest = 0

  constructor(program: Postrider) {
    this.follow(program)
    this.#timer = setInterval(() => this.#sample(), everyMs)
  }

  /** The highest since the last call, MiB. */
  peak(): number {
    this.#sample()
    const found = this.#highest
    this.#highest = 0
    return found
  }

  /** Another server, or a new life of this one. */
  follow(program: Postrider): void {
    this.#pid = program.processId
    this.#highest = 0
  }

  #sample(): void {
    try {
      this.#highest = Math.max(this.#highest, residentMib(this.#pid))
    } catch {
      // It was killed, and its successor is not known yet.
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
