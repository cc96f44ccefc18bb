// Long work in steps, so that one large content does not hold the event loop.
//
// Work over a whole content is written as a generator that yields where it may be interrupted, every few hundred
// microseconds at the latest. `runInSlices` lets the event loop go round whenever a slice is used up; `runAtOnce` is for
// those who need not care (tests, small contents).

import { setImmediate } from 'node:timers/promises'

/** Work that can be interrupted wherever it yields. */
export type Steps<T> = Generator<void, T, void>

/** About so many bytes may be worked on between two yields. */
export const stepBytes = 65_536

/** A slice this long leaves every other session of the thread enough. */
const sliceMsDefault = 5

/** Tells when a slice is used up. */
export class Pacer {
  readonly #sliceMs: number
  readonly #nowMs: () => number
  #startedMs: number
  /** How often it gave way. */
  pauses = 0

  constructor(sliceMs: number = sliceMsDefault, nowMs: () => number = () => performance.now()) {
    this.#sliceMs = sliceMs
    this.#nowMs = nowMs
    this.#startedMs = nowMs()
  }

  get isDue(): boolean {
    return this.#nowMs() - this.#startedMs >= this.#sliceMs
  }

  /** Lets the event loop go round once. */
  async pause(): Promise<void> {
    this.pauses++
    await setImmediate()
    this.#startedMs = this.#nowMs()
  }
}

/** So much long work at a time, the rest in line: what it takes in memory while it goes on is bounded by it. */
export class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Does the work when it is its turn. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/** The same bytes in blocks that are small enough for one step. */
export function* inBlocks(pieces: Iterable<Buffer>): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += stepBytes) yield piece.subarray(at, at + stepBytes)
}

/** Does the work, giving way between slices. */
export async function runInSlices<T>(steps: Steps<T>, pacer: Pacer = new Pacer()): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (pacer.isDue) await pacer.pause()
  }
}

/** Does the work in one go. */
export function runAtOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
