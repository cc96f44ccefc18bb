// A list of buffers that does not grow by every octet that comes alone: small pieces are copied together.
//
// Place on the path: whoever keeps a content while it arrives. A Buffer takes about 100 bytes of heap, so a content that
// comes octet by octet would take a hundred times its size, while all bounds count its bytes.
// Invariants: large pieces, and the first few of any size, are kept as they are; a list has at most two parts for each
// 2 KiB of its bytes, and a few more.

/** Pieces below this are copied. */
const smallBytesMax = 2048
/** So many are kept whatever their size: an ordinary message comes in fewer. */
const firstParts = 8
const slabBytesMin = 4 * 1024
const slabBytesMax = 256 * 1024

/**
 * Appends a piece to the list. Small pieces go into a slab, which is made when there are too many of them.
 * @param slab what the last call for this list returned, null at first
 */
export function appendPart(parts: Buffer[], piece: Buffer, slab: PartSlab | null): PartSlab | null {
  if (piece.length >= smallBytesMax || parts.length < firstParts) {
    parts.push(piece)
    return slab
  }
  const used = slab ?? new PartSlab()
  used.append(parts, piece)
  return used
}

/** Memory that small pieces of one list share. */
export class PartSlab {
  #bytes: Buffer = Buffer.allocUnsafeSlow(slabBytesMin)
  #start = 0
  #end = 0
  /** The part that ends where the next piece goes; it grows while it is the last of the list. */
  #open: Buffer | null = null

  append(parts: Buffer[], piece: Buffer): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#end === this.#bytes.length) this.#renew()
      const copiedBytes = piece.copy(this.#bytes, this.#end, at)
      const isOpen = this.#open !== null && parts.at(-1) === this.#open
      if (!isOpen) this.#start = this.#end
      this.#end += copiedBytes
      at += copiedBytes
      this.#open = this.#bytes.subarray(this.#start, this.#end)
      if (isOpen) parts[parts.length - 1] = this.#open
      else parts.push(this.#open)
    }
  }

  #renew(): void {
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(this.#bytes.length * 2, slabBytesMax))
    this.#start = 0
    this.#end = 0
    this.#open = null
  }
}
