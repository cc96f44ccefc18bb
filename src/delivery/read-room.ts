// How much stored content may be in memory for attempts at once. What does not fit is streamed: slower, in little memory.
//
// A thousand connections with three transactions each would otherwise hold three thousand contents, and slow peers keep
// theirs for long.

/** Contents up to this size are read whole in any case: a stream would save nothing. */
const smallBytesMax = 16 * 1024

/** Bounds of the room. */
export interface ReadLimits {
  readonly readContentBytesMax: number
}

/** The counter. */
export class ReadRoom {
  readonly #limits: ReadLimits
  #bytes = 0

  /** @param limits looked at anew each time: a reload may change them. */
  constructor(limits: ReadLimits) {
    this.#limits = limits
  }

  /** Room for a content that is read whole; false when there is none now. `release` gives it back. */
  take(sizeBytes: number): boolean {
    if (sizeBytes <= smallBytesMax) return true
    if (this.#bytes + sizeBytes > this.#limits.readContentBytesMax) return false
    this.#bytes += sizeBytes
    return true
  }

  release(sizeBytes: number): void {
    if (sizeBytes > smallBytesMax) this.#bytes -= sizeBytes
  }
}
