// How much of contents is held whole in memory, all submissions of all relay threads together.
//
// Where long lines may be encoded, a content stays in memory to its end: its beginning changes as well. Without this bound
// a few clients with such a credential could fill the memory. A single content always fits, whatever its size. The count
// lies in memory that the threads share, so that the bound does not grow with the cores.

/** The counter: one in each relay thread, on the same memory. */
export class HeldContents {
  readonly #bytesMax: number
  readonly #bytes: BigInt64Array<SharedArrayBuffer>

  /** Memory for all threads. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(8)
  }

  constructor(memory: SharedArrayBuffer, bytesMax: number) {
    this.#bytes = new BigInt64Array(memory)
    this.#bytesMax = bytesMax
  }

  /** Takes room for more of one content, of which `ownBytes` are held already; false when there is none now. */
  take(bytes: number, ownBytes: number): boolean {
    for (;;) {
      const held = Atomics.load(this.#bytes, 0)
      const isAlone = held === BigInt(ownBytes)
      const after = held + BigInt(bytes)
      if (!isAlone && after > BigInt(this.#bytesMax)) return false
      // Another thread may have come between.
      if (Atomics.compareExchange(this.#bytes, 0, held, after) === held) return true
    }
  }

  release(bytes: number): void {
    Atomics.sub(this.#bytes, 0, BigInt(bytes))
  }
}
