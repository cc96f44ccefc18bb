// One pass over content as it arrives: finds the true end, removes dot stuffing, judges line ends, counts.
//
//   state      after                 next byte
//   lineStart  CRLF, or the start    '.' of DATA is dropped and leads to dot; else as inLine
//   inLine     anything else         CR → cr; LF → bare LF; NUL → fault
//   cr         CR in a line          LF → lineStart; else bare CR, and the byte counts as inLine
//   dot        '.' at a line start   CR → dotCr; else as inLine
//   dotCr      '.' CR                LF → the end; else bare CR, and the byte counts as inLine
//
// Only CRLF.CRLF (or .CRLF at once) ends DATA, whatever else is wrong with it: nothing else may, or two servers
// could disagree about where a message ends. A bare LF never leads to lineStart, mended or not.
// Output is slices of the input; nothing is copied unless a dot or a mended LF stands in between.

import { isAscii } from 'node:buffer'

/** The first thing found that makes a content refused. */
export interface ContentFault {
  readonly kind: 'bare-cr' | 'bare-lf' | 'nul'
  /** Line of the content, from 1. */
  readonly line: number
}

/** How to read a content. */
export interface ScanOptions {
  /** DATA: unstuff dots and look for the end. BDAT: neither. */
  readonly kind: 'data' | 'bdat'
  /** A bare LF becomes CRLF instead of a fault. */
  readonly mendsBareLf: boolean
}

const lineStart = 0
const inLine = 1
const cr = 2
const dot = 3
const dotCr = 4

const crlf = Buffer.from('\r\n')

/** Four octets, each one above CR. */
const aboveCr = 0x0e0e0e0e
const topBits = 0x80808080

/** Leaps over octets that cannot matter: eight a step, since nearly all of a content is such octets. */
class PlainSkipper {
  readonly #chunk: Buffer
  readonly #words: Int32Array
  /** Octets of the first word that lie before the chunk. */
  readonly #shift: number

  constructor(chunk: Buffer) {
    this.#chunk = chunk
    this.#shift = chunk.byteOffset & 3
    const wordCount = (chunk.length + this.#shift) >> 2
    this.#words = new Int32Array(chunk.buffer, chunk.byteOffset - this.#shift, wordCount)
  }

  /** Index of the first octet at or after `at` that is a control character up to CR; `end` when there is none. */
  skip(at: number, end: number): number {
    const chunk = this.#chunk
    const words = this.#words
    const shift = this.#shift
    let i = at
    for (; i < end && ((i + shift) & 3) !== 0; i++) if (chunk[i]! <= 0x0d) return i
    let word = (i + shift) >> 2
    const last = ((end + shift) >> 2) - 1
    // A word has an octet below 0x0e exactly when subtracting borrows into the top bit of one that was not set.
    while (word < last) {
      const one = words[word]!
      const two = words[word + 1]!
      if (((((one - aboveCr) | 0) & ~one) | (((two - aboveCr) | 0) & ~two)) & topBits) break
      word += 2
    }
    i = Math.max(i, (word << 2) - shift)
    while (i < end && chunk[i]! > 0x0d) i++
    return i
  }
}

/** The scanner of one content. */
export class ContentScanner {
  readonly #isData: boolean
  readonly #mends: boolean
  #state = lineStart
  #line = 1
  /** Octets of the current line in earlier chunks. */
  #lineBytes = 0
  #pieces: Buffer[] = []
  /** The first fault, null while there is none. After it nothing more is put out. */
  fault: ContentFault | null = null
  /** Of what was put out. */
  hasEightBit = false
  sizeBytes = 0
  longestLineBytes = 0
  /** A line of what was put out may begin with a dot: true is said too often (mended LFs), false never wrongly. */
  hasDotLine = false

  constructor(options: ScanOptions) {
    this.#isData = options.kind === 'data'
    this.#mends = options.mendsBareLf
  }

  /** Reads `chunk` from `at` up to `end`; returns the index after the true end of DATA, or -1. */
  scan(chunk: Buffer, at: number, end: number): number {
    let state = this.#state
    let from = at
    let lineFrom = at - this.#lineBytes
    const plain = new PlainSkipper(chunk)
    for (let i = at; i < end; i++) {
      if (state === inLine) {
        i = plain.skip(i, end)
        if (i === end) break
      }
      const byte = chunk[i]!
      if (byte === 0x0a && state === cr) {
        this.#endLine(i - 1 - lineFrom)
        lineFrom = i + 1
        state = lineStart
        continue
      }
      if (byte === 0x0a && state === dotCr) return i + 1
      if (state === cr || state === dotCr) {
        this.#spoil('bare-cr')
        state = inLine
      }
      if (byte === 0x0d) state = state === dot ? dotCr : cr
      else if (byte === 0x0a) {
        if (this.#mends) {
          this.#put(chunk, from, i)
          this.#put(crlf, 0, 2)
          from = i + 1
          this.hasDotLine = true
        } else this.#spoil('bare-lf')
        this.#endLine(i - lineFrom)
        lineFrom = i + 1
        state = inLine
      } else if (byte === 0x2e && state === lineStart && this.#isData) {
        this.#put(chunk, from, i)
        from = i + 1
        lineFrom = from
        state = dot
      } else {
        if (byte === 0) this.#spoil('nul')
        else if (byte === 0x2e && state !== inLine) this.hasDotLine = true
        state = inLine
      }
    }
    // The CR of a possible end is not content.
    if (state !== dotCr) this.#put(chunk, from, end)
    this.#state = state
    this.#lineBytes = end - lineFrom
    return -1
  }

  /** The last BDAT chunk is read: a CR at the very end is bare, and a last line without end gets its CRLF. */
  finishChunks(): void {
    if (this.#state === cr) this.#spoil('bare-cr')
    // Behind a mended LF the state is inLine, but no line has begun.
    else if (this.#state !== lineStart && this.#lineBytes > 0) {
      this.#endLine(this.#lineBytes)
      this.#put(crlf, 0, 2)
    }
  }

  /** What came out since the last call; null when nothing did. */
  take(): Buffer | null {
    const pieces = this.#pieces
    if (pieces.length === 0) return null
    this.#pieces = []
    const output = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    if (!this.hasEightBit) this.hasEightBit = !isAscii(output)
    return output
  }

  #endLine(bytes: number): void {
    this.#line++
    if (bytes > this.longestLineBytes) this.longestLineBytes = bytes
  }

  #put(chunk: Buffer, from: number, to: number): void {
    if (from === to || this.fault !== null) return
    this.sizeBytes += to - from
    this.#pieces.push(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to))
  }

  #spoil(kind: ContentFault['kind']): void {
    if (this.fault !== null) return
    this.fault = { kind, line: this.#line }
    this.#pieces = []
  }
}
