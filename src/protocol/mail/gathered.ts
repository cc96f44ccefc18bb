// Gathers the pieces of a content that is written anew, so that it takes little more memory than its bytes.
//
// Place on the path: the re-encoder. Ten thousand parts make thirty thousand pieces of a few bytes, and each would take
// more for itself than for what is in it. Small ones are copied together, large ones stay as they are.

/** Takes pieces in order; an array is one. */
export interface PieceSink {
  push(piece: Buffer): unknown
}

/** Larger ones are not copied. */
const smallBytesMax = 4096
const firstBlockBytes = 1024
const blockBytesMax = 65_536

export class GatheredPieces implements PieceSink {
  readonly #pieces: Buffer[] = []
  #block: Buffer = Buffer.alloc(0)
  /** What of the block is in no piece yet. */
  #start = 0
  #end = 0

  push(piece: Buffer): void {
    if (piece.length > smallBytesMax) {
      this.#close()
      this.#pieces.push(piece)
      return
    }
    if (this.#end + piece.length > this.#block.length) this.#openBlock(piece.length)
    this.#end += piece.copy(this.#block, this.#end)
  }

  /** The pieces; nothing may be pushed any more. */
  end(): readonly Buffer[] {
    this.#close()
    return this.#pieces
  }

  #close(): void {
    if (this.#end > this.#start) this.#pieces.push(this.#block.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  /** Each block is twice as large as the one before: a small content takes no large one. */
  #openBlock(bytesMin: number): void {
    this.#close()
    const sizeBytes = Math.min(blockBytesMax, Math.max(firstBlockBytes, this.#block.length * 2, bytesMin))
    // Not from the pool of small buffers, which would be kept as a whole.
    this.#block = Buffer.allocUnsafeSlow(sizeBytes)
    this.#start = 0
    this.#end = 0
  }
}
