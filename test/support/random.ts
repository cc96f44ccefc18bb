// Randomness that can be had again: the same seed gives the same numbers on every machine.
//
// For fuzzing, simulation and anything else that prints a seed. Not for secrets.

/** A generator with 128 bits of state (sfc32). */
export class Random {
  #a: number
  #b: number
  #c = 1
  #count: number

  constructor(seed: number) {
    this.#a = seed >>> 0
    this.#b = Math.floor(seed / 2 ** 32) >>> 0
    this.#count = 0x9e3779b9
    // The first numbers of neighbouring seeds are alike.
    for (let i = 0; i < 16; i++) this.uint32()
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** From 0 up to but without 1. */
  next(): number {
    return this.uint32() / 2 ** 32
  }

  /** An integer from 0 up to but without `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** An integer from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  /** True with this probability. */
  chance(share: number): boolean {
    return this.next() < share
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  bytes(sizeBytes: number): Buffer {
    const bytes = Buffer.allocUnsafe(sizeBytes)
    for (let i = 0; i < sizeBytes; i++) bytes[i] = this.uint32() & 255
    return bytes
  }

  /** A generator of its own, so that what it is asked for does not change what this one gives. */
  fork(): Random {
    return new Random(this.uint32() * 2 ** 21 + (this.uint32() >>> 11))
  }
}

/** A seed to print, when none was given. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 32)
}
