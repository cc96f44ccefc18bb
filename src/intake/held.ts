// How much of contents is held whole in memory, all submissions of a thread together.
//
// Where long lines may be encoded, a content stays in memory to its end: its beginning changes as well. Without this bound
// a few clients with such a credential could fill the memory. A single content always fits, whatever its size.

/** The counter; one per relay thread. */
export class HeldContents {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Takes room for more of one content, of which `ownBytes` are held already; false when there is none now. */
  take(bytes: number, ownBytes: number): boolean {
    const isAlone = this.#bytes === ownBytes
    if (!isAlone && this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  release(bytes: number): void {
    this.#bytes -= bytes
  }
}
