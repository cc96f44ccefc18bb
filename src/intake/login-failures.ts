// Failed logins of each host and network, counted by all relay threads together and forgotten a quarter of an hour after the
// last.
//
// A guesser whose connections are spread over the threads must not have the free failures of each of them. Unlike
// the counts of door-counts.ts a slot belongs to one host, known by 32 further bits of a hash: else one guesser with
// a /48, 65,536 times a /64, could slow the logins of everybody. A host without a slot takes the one of a few that
// was used longest ago, so memory is bounded. Nothing waits for a lock; two threads that write the same slot at the
// same moment may lose a failure.

import { seededHash } from './seeded-hash.ts'

const slotCount = 65_536
const headWords = 2
const wordsPerSlot = 3
/** How many slots a host may lie in. */
const neighbours = 8
const memoryMs = 15 * 60_000

// Words of a slot: who, failures, and the second of the last one. No host: zero failures.
const hostAt = 0
const countAt = 1
const secondAt = 2

/** One view of the shared table; each thread has its own on the same memory. */
export class LoginFailures {
  readonly #words: Int32Array<SharedArrayBuffer>

  /** Memory for all threads. @param random two numbers of 32 bits */
  static allocate(random: readonly [number, number]): SharedArrayBuffer {
    const memory = new SharedArrayBuffer((headWords + slotCount * wordsPerSlot) * 4)
    new Int32Array(memory).set(random)
    return memory
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
  }

  /** Failures that are not forgotten. @param nowMs of the wall clock: the only one that threads share */
  of(host: string, nowMs: number): number {
    const slot = this.#find(host)
    return slot === null || !this.#isFresh(slot, nowMs) ? 0 : Atomics.load(this.#words, slot + countAt)
  }

  add(host: string, nowMs: number): void {
    const words = this.#words
    const found = this.#find(host)
    const slot = found ?? this.#oldest(host)
    const goesOn = found !== null && this.#isFresh(slot, nowMs)
    Atomics.store(words, slot + hostAt, this.#nameOf(host))
    Atomics.store(words, slot + secondAt, secondOf(nowMs))
    if (goesOn) Atomics.add(words, slot + countAt, 1)
    else Atomics.store(words, slot + countAt, 1)
  }

  #isFresh(slot: number, nowMs: number): boolean {
    const ageMs = (secondOf(nowMs) - Atomics.load(this.#words, slot + secondAt)) * 1000
    return ageMs >= 0 && ageMs < memoryMs
  }

  #find(host: string): number | null {
    const words = this.#words
    const name = this.#nameOf(host)
    for (const slot of this.#slotsOf(host))
      if (Atomics.load(words, slot + countAt) > 0 && Atomics.load(words, slot + hostAt) === name) return slot
    return null
  }

  #oldest(host: string): number {
    const secondOfSlot = (slot: number): number => Atomics.load(this.#words, slot + secondAt)
    return this.#slotsOf(host).reduce((one, other) => (secondOfSlot(other) < secondOfSlot(one) ? other : one))
  }

  #nameOf(host: string): number {
    return seededHash(host, this.#words[0]!)
  }

  /** Where the host may lie. */
  #slotsOf(host: string): number[] {
    const first = seededHash(host, this.#words[1]!)
    return Array.from({ length: neighbours }, (_, at) => {
      return headWords + ((first + at) & (slotCount - 1)) * wordsPerSlot
    })
  }
}

/** Fits 32 bits until 2038, and wraps then: differences stay right. */
function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000) | 0
}
