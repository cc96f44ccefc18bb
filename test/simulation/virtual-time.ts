// Time that stands still until it is moved: clock, timers and the queue of what is to happen, all in one thread.
//
// Monotonic time only moves on, from one planned event to the next; the wall clock is the same with an offset that may
// jump. Events of one millisecond happen in the order in which they were planned, so that a history can be had again.

import type { Clock, Timers } from '../../src/base/index.ts'

interface Planned {
  readonly atMs: number
  readonly order: number
  run: (() => void) | null
}

/** 2027-01-15: any moment will do, as long as it is always the same. */
export const simulationStartMs = 1_800_000_000_000

/** The clock and the timers of a simulated world. */
export class VirtualTime implements Clock, Timers {
  /** A binary heap, the next event first. */
  readonly #heap: Planned[] = []
  #order = 0
  #monotonicMs = 0
  #wallOffsetMs = simulationStartMs

  nowMs(): number {
    return this.#monotonicMs + this.#wallOffsetMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  /** The wall clock is set, as by an operator or NTP. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  after(delayMs: number, run: () => void): () => void {
    const planned: Planned = {
      atMs: this.#monotonicMs + Math.max(0, Math.ceil(delayMs)),
      order: ++this.#order,
      run,
    }
    this.#push(planned)
    return () => {
      planned.run = null
    }
  }

  /** Moves to the next event and gives it; null when there is none before `untilMs` (then time is `untilMs`). */
  next(untilMs: number): (() => void) | null {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.atMs > untilMs) {
        this.#monotonicMs = Math.max(this.#monotonicMs, untilMs)
        return null
      }
      this.#pop()
      if (first.run === null) continue
      this.#monotonicMs = first.atMs
      return first.run
    }
  }

  #push(planned: Planned): void {
    const heap = this.#heap
    let at = heap.push(planned) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(planned, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = planned
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Planned, b: Planned): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

/** Timers that can be silenced at once: those of a process that is killed. */
export class MortalTimers implements Timers {
  readonly #time: Timers
  #isDead = false

  constructor(time: Timers) {
    this.#time = time
  }

  after(delayMs: number, run: () => void): () => void {
    return this.#time.after(delayMs, () => {
      if (!this.#isDead) run()
    })
  }

  kill(): void {
    this.#isDead = true
  }
}
