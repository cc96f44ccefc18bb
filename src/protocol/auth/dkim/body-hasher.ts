// Streaming body hash of DKIM: relaxed canonicalisation (RFC 6376 §3.4.4) and SHA-256.
//
// Place on the path: fed with the body's chunks in the same pass that stores them, and again for a
// re-encoded variant. The result is shared by all signatures of the message.
// Invariants: one pass, bounded memory, nothing kept of a chunk after push() returns. Only CRLF ends a line;
// a bare CR or LF (refused earlier) counts as an ordinary byte. How the body is cut into chunks never matters.
// Blank lines count only when something follows, so they wait; but only so many, since a body may be nothing else: then
// they are hashed as if something followed, and the hash without them is kept until it does.

import { createHash, type Hash } from 'node:crypto'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09
/** Unchanged runs of this size are hashed where they lie; shorter ones are gathered, since a call costs more. */
const runBytesMin = 512
const scratchBytes = 4096
/** After a run shorter than this, so many bytes are canonicalised one by one. */
const denseRunBytes = 96
const gatherBytes = 512
/** Bytes walked before the first try to leap over what has no white space; twice as many after each vain try. */
const walkBytesFirst = 256
const walkBytesMax = 16_384
const leapBytesMin = 1024
const oneSpace = Buffer.from(' ')
/** So many line ends wait before they are hashed. */
const pendingLineEndsMax = 32_768
const lineEnds = Buffer.from('\r\n'.repeat(pendingLineEndsMax))

/** SHA-256 of a body in relaxed canonical form; one instance a body. */
export class BodyHasher {
  readonly #hash: Hash = createHash('sha256')
  /** The hash up to the last visible byte, when line ends behind it are hashed already; null when none are. */
  #hashWithoutLineEnds: Hash | null = null
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
    const finder = new RunFinder(chunk)
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
        const end = finder.endOfRun(at)
        this.#emitPending()
        this.#emit(chunk, at, end)
        // Where folds are dense, a plain byte loop beats looking for runs between them.
        at = end - at < denseRunBytes ? this.#gather(chunk, end) : end
      }
    }
    this.#flush()
  }

  /** The 32 bytes of the hash (`bh=` before base64). The instance is used up. */
  digest(): Buffer {
    if (this.#pendingCr) this.#emitLoneCr()
    // RFC 6376 §3.4.4: trailing empty lines do not count, a missing last CRLF is added, and a body without
    // any content is empty, without a CRLF.
    this.#flush()
    const hash = this.#hashWithoutLineEnds ?? this.#hash
    if (this.#hasContent) hash.update(lineEnds.subarray(0, 2))
    return hash.digest()
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
    if (++this.#pendingLineEnds >= pendingLineEndsMax) this.#hashLineEnds()
  }

  /** Too many wait: hashes them ahead. */
  #hashLineEnds(): void {
    this.#flush()
    this.#hashWithoutLineEnds ??= this.#hash.copy()
    this.#hash.update(lineEnds.subarray(0, 2 * this.#pendingLineEnds))
    this.#pendingLineEnds = 0
  }

  #emitPending(): void {
    this.#hasContent = true
    this.#hashWithoutLineEnds = null
    if (this.#pendingLineEnds > 0) this.#emit(lineEnds, 0, 2 * this.#pendingLineEnds)
    this.#pendingLineEnds = 0
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

  /** Canonicalises the next bytes one by one into the scratch; gives the offset to go on from. */
  #gather(chunk: Buffer, start: number): number {
    if (this.#scratchUsed + gatherBytes + 2 * this.#pendingLineEnds + 1 > scratchBytes) this.#flush()
    // Room for all that these bytes can add; a CR at the very end needs the next chunk to be understood.
    const room = scratchBytes - this.#scratchUsed - 2 * this.#pendingLineEnds - 1
    const stop = Math.min(chunk.length - 1, start + Math.min(room, gatherBytes))
    const scratch = this.#scratch
    if (scratch === undefined) return start
    let used = this.#scratchUsed
    let lineEndCount = this.#pendingLineEnds
    let hasWsp = this.#pendingWsp
    let at = start
    for (; at < stop; at++) {
      const byte = chunk[at]!
      if (byte === SP || byte === TAB) hasWsp = true
      else if (byte === CR && chunk[at + 1] === LF) {
        hasWsp = false
        lineEndCount++
        at++
      } else {
        for (; lineEndCount > 0; lineEndCount--) {
          scratch[used++] = CR
          scratch[used++] = LF
        }
        if (hasWsp) scratch[used++] = SP
        hasWsp = false
        scratch[used++] = byte
      }
    }
    this.#scratchUsed = used
    this.#pendingLineEnds = lineEndCount
    this.#pendingWsp = hasWsp
    return at
  }

  #flush(): void {
    if (this.#scratchUsed === 0) return
    this.#hash.update(this.#scratch!.subarray(0, this.#scratchUsed))
    this.#scratchUsed = 0
  }
}

/** Where folds can begin. Text has a space every few bytes; base64 and its like have none for long stretches. */
const foldStarts: readonly Buffer[] = [' ', '\t', '\r\n\r\n'].map(text => Buffer.from(text))

/** Finds where a run of unchanged bytes ends: walks byte by byte, but leaps over stretches without white space. */
class RunFinder {
  readonly #chunk: Buffer
  // The next place of each fold start, searched again only when passed: each search covers the chunk once.
  readonly #next: number[] = foldStarts.map(() => -1)

  #walkBytes = walkBytesFirst

  constructor(chunk: Buffer) {
    this.#chunk = chunk
  }

  /** `start` is a byte that counts as it is; the end given is behind another such byte. */
  endOfRun(start: number): number {
    const length = this.#chunk.length
    let at = start
    for (;;) {
      const stop = this.#walkStop(at)
      const end = walkRun(this.#chunk, at, stop)
      if (end < stop || end === length) return end
      const foldStart = this.#firstFoldStart(end)
      if (foldStart - end >= leapBytesMin) return this.#backUp(end, foldStart)
      this.#walkBytes = Math.min(this.#walkBytes * 2, walkBytesMax)
      // From the last byte that was seen: the next one may be white space and needs its neighbour.
      at = end - 1
    }
  }

  /** A walk should not end between a space and its word: up to a few bytes more. */
  #walkStop(at: number): number {
    const chunk = this.#chunk
    let stop = Math.min(at + this.#walkBytes, chunk.length)
    for (let i = 0; i < 4 && stop < chunk.length && chunk[stop - 1]! <= SP; i++) stop++
    return stop
  }

  #firstFoldStart(from: number): number {
    let first = this.#chunk.length
    for (let i = 0; i < foldStarts.length; i++) {
      let next = this.#next[i]!
      if (next < from) {
        const found = this.#chunk.indexOf(foldStarts[i]!, from)
        next = found === -1 ? this.#chunk.length : found
        this.#next[i] = next
      }
      if (next < first) first = next
    }
    return first
  }

  /** A line end before the fold (or before the end of the chunk) may belong to it. */
  #backUp(start: number, foldStart: number): number {
    const chunk = this.#chunk
    let end = foldStart
    if (end === chunk.length && chunk[end - 1] === CR) end--
    while (end - 2 >= start && chunk[end - 1] === LF && chunk[end - 2] === CR) end -= 2
    return end
  }
}

/**
 * Walks a run up to `stop`. A single space between visible bytes and a CRLF between visible bytes do not end
 * it: most mail is one run from end to end. The test is on two neighbours at once, so that the processor
 * mispredicts it once a line and not once a word.
 */
function walkRun(chunk: Buffer, start: number, stop: number): number {
  let previous = chunk[start]!
  let at = start + 1
  for (; at < stop; at++) {
    const byte = chunk[at]!
    // Negative only when both are at or below the space.
    if (((previous - 0x21) & (byte - 0x21)) < 0 || byte === TAB) {
      if (byte === LF && previous === CR) {
        const next = chunk[at + 1]
        if (next === undefined || next <= SP) return at - 1
      } else if (previous === SP) return at - 1
      else if (byte === TAB) return at
    }
    previous = byte
  }
  return previous === SP || previous === CR ? at - 1 : at
}
