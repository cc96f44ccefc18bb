// Streaming body hash of DKIM: relaxed canonicalisation (RFC 6376 §3.4.4) and SHA-256.
//
// Place on the path: fed with the body's chunks in the same pass that stores them, and again for a
// re-encoded variant. The result is shared by all signatures of the message.
// Invariants: one pass, bounded memory, nothing kept of a chunk after push() returns. Only CRLF ends a line;
// a bare CR or LF (refused earlier) counts as an ordinary byte. How the body is cut into chunks never matters.

import { createHash, type Hash } from 'node:crypto'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09
/** Unchanged runs of this size are hashed where they lie; shorter ones are gathered, since a call costs more. */
const runBytesMin = 512
const scratchBytes = 4096
const lineEnds = Buffer.from('\r\n'.repeat(32))

/** SHA-256 of a body in relaxed canonical form; one instance a body. */
export class BodyHasher {
  readonly #hash: Hash = createHash('sha256')
  // What has been read but is not yet known to count: these go out before the next visible byte, or never.
  #pendingLineEnds = 0
  #pendingWsp = false
  #pendingCr = false
  #hasContent = false
  // Gathered output that has not been hashed yet; allocated when the first fold needs it.
  #scratch: Buffer | undefined
  #scratchUsed = 0

  /** Takes the next bytes of the body; the chunk may be reused afterwards. */
  push(chunk: Buffer): void {
    let at = this.#pendingCr && chunk.length > 0 ? this.#settleCr(chunk) : 0
    while (at < chunk.length) {
      const byte = chunk[at]!
      if (byte === SP || byte === TAB) {
        this.#pendingWsp = true
        at++
      } else if (byte === CR && at + 1 === chunk.length) {
        this.#pendingCr = true
        at++
      } else if (byte === CR && chunk[at + 1] === LF) {
        this.#endLine()
        at += 2
      } else {
        const end = endOfRun(chunk, at)
        this.#emitPending()
        this.#emit(chunk, at, end)
        at = end
      }
    }
    this.#flush()
  }

  /** The 32 bytes of the hash (`bh=` before base64). The instance is used up. */
  digest(): Buffer {
    if (this.#pendingCr) this.#emitLoneCr()
    // RFC 6376 §3.4.4: trailing empty lines do not count, a missing last CRLF is added, and a body without
    // any content is empty, without a CRLF.
    if (this.#hasContent) {
      this.#flush()
      this.#hash.update(lineEnds.subarray(0, 2))
    }
    return this.#hash.digest()
  }

  /** The last chunk ended in CR: says whether that was half of a line end; gives the offset to go on from. */
  #settleCr(chunk: Buffer): number {
    if (chunk[0] === LF) {
      this.#pendingCr = false
      this.#endLine()
      return 1
    }
    this.#emitLoneCr()
    return 0
  }

  #emitLoneCr(): void {
    this.#pendingCr = false
    this.#emitPending()
    this.#emit(lineEnds, 0, 1)
  }

  #endLine(): void {
    this.#pendingWsp = false
    this.#pendingLineEnds++
  }

  #emitPending(): void {
    this.#hasContent = true
    while (this.#pendingLineEnds > 0) {
      const count = Math.min(this.#pendingLineEnds, lineEnds.length / 2)
      this.#emit(lineEnds, 0, count * 2)
      this.#pendingLineEnds -= count
    }
    if (this.#pendingWsp) this.#emit(oneSpace, 0, 1)
    this.#pendingWsp = false
  }

  #emit(bytes: Buffer, start: number, end: number): void {
    const size = end - start
    if (size >= runBytesMin) {
      this.#flush()
      this.#hash.update(bytes.subarray(start, end))
      return
    }
    if (this.#scratchUsed + size > scratchBytes) this.#flush()
    this.#scratch ??= Buffer.allocUnsafe(scratchBytes)
    const scratch = this.#scratch
    let used = this.#scratchUsed
    for (let i = start; i < end; i++) scratch[used++] = bytes[i]!
    this.#scratchUsed = used
  }

  #flush(): void {
    if (this.#scratchUsed === 0) return
    this.#hash.update(this.#scratch!.subarray(0, this.#scratchUsed))
    this.#scratchUsed = 0
  }
}

const oneSpace = Buffer.from(' ')

/**
 * End of the run of bytes that stay as they are. A single space between visible bytes and a CRLF between
 * visible bytes do not end a run: most mail is one run from end to end.
 */
function endOfRun(chunk: Buffer, start: number): number {
  let at = start + 1
  while (at < chunk.length) {
    const byte = chunk[at]!
    if (byte > SP) at++
    else if (byte === SP) {
      if (!isVisible(chunk[at + 1])) return at
      at += 2
    } else if (byte === CR) {
      if (chunk[at + 1] === LF) {
        if (!isVisible(chunk[at + 2])) return at
        at += 3
      } else if (at + 1 === chunk.length) return at
      else at++
    } else if (byte === TAB) return at
    else at++
  }
  return at
}

/** Certainly neither white space nor part of a line end; undefined (end of chunk) is not known. */
function isVisible(byte: number | undefined): boolean {
  return byte !== undefined && byte > SP
}
