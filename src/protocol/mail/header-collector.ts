// Finds the end of the header block while the content arrives in chunks.
//
// Place on the path: between the SMTP sink (or the HTTP body) and submission: as soon as the blank line is
// seen the header can be judged, and the rest of the chunk is already body.
// Invariants: never holds more than twice the limit plus a few chunks; a header inside one chunk is not copied, one that
// comes in many is copied once.

import { defaultHeaderLimits } from './header-block.ts'

/** So many chunks are kept as they are, the further ones in one buffer: a header may come octet by octet. */
const chunksMax = 8
const gatherBytesMin = 4096
const blankLine = Buffer.from('\r\n\r\n')

/** What is known after a chunk. */
export type HeaderProgress =
  | { readonly kind: 'more' }
  /** `header` includes the blank line; `rest` is the beginning of the body. */
  | { readonly kind: 'complete'; readonly header: Buffer; readonly rest: Buffer }
  | { readonly kind: 'too-large'; readonly sizeBytesMax: number }

/** Gathers chunks until the header block is complete; one instance a content. */
export class HeaderCollector {
  readonly #sizeBytesMax: number
  readonly #chunks: Buffer[] = []
  /** What came after the chunks. */
  #gathered: Buffer | null = null
  #gatheredBytes = 0
  #sizeBytes = 0
  // The last bytes seen, at most three. A content that begins with CRLF has an empty header block, so the
  // search starts as if a line had just ended.
  #tail: Buffer = Buffer.from('\r\n')

  /** @param sizeBytesMax limit of the block with its blank line, default 128 KiB */
  constructor(sizeBytesMax: number = defaultHeaderLimits.sizeBytesMax) {
    this.#sizeBytesMax = sizeBytesMax
  }

  /** Takes the next chunk. After `complete` or `too-large` the instance is used up. */
  push(chunk: Buffer): HeaderProgress {
    const end = this.#endIn(chunk)
    const sizeBytes = this.#sizeBytes + (end ?? chunk.length)
    if (sizeBytes > this.#sizeBytesMax) return { kind: 'too-large', sizeBytesMax: this.#sizeBytesMax }
    if (end !== undefined) {
      const last = chunk.subarray(0, end)
      const header = this.#chunks.length === 0 ? last : this.#joined(last, sizeBytes)
      return { kind: 'complete', header, rest: chunk.subarray(end) }
    }
    if (chunk.length > 0) this.#keep(chunk)
    this.#sizeBytes = sizeBytes
    this.#remember(chunk)
    return { kind: 'more' }
  }

  /** The content ended without a blank line: all of it is header. */
  end(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : this.#joined(null, this.#sizeBytes)
  }

  #keep(chunk: Buffer): void {
    if (this.#chunks.length < chunksMax) {
      this.#chunks.push(chunk)
      return
    }
    const endBytes = this.#gatheredBytes + chunk.length
    const before = this.#gathered
    if (before === null || before.length < endBytes) {
      this.#gathered = Buffer.allocUnsafeSlow(Math.max(endBytes, (before?.length ?? 0) * 2, gatherBytesMin))
      before?.copy(this.#gathered, 0, 0, this.#gatheredBytes)
    }
    chunk.copy(this.#gathered!, this.#gatheredBytes)
    this.#gatheredBytes = endBytes
  }

  #joined(last: Buffer | null, sizeBytes: number): Buffer {
    const parts = [...this.#chunks]
    if (this.#gathered !== null) parts.push(this.#gathered.subarray(0, this.#gatheredBytes))
    if (last !== null) parts.push(last)
    return Buffer.concat(parts, sizeBytes)
  }

  /** Offset in `chunk` behind the blank line, if the blank line ends in it. */
  #endIn(chunk: Buffer): number | undefined {
    // A match that began in earlier bytes ends within the first three of this chunk.
    const border = Buffer.concat([this.#tail, chunk.subarray(0, 3)])
    const atBorder = border.indexOf(blankLine)
    if (atBorder !== -1) return atBorder + blankLine.length - this.#tail.length
    const inside = chunk.indexOf(blankLine)
    return inside === -1 ? undefined : inside + blankLine.length
  }

  #remember(chunk: Buffer): void {
    const joined = chunk.length >= 3 ? chunk : Buffer.concat([this.#tail, chunk])
    // A copy of three bytes, so that a large chunk is not kept alive by its tail.
    this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - 3)))
  }
}
