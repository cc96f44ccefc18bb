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

/** Index of the first octet at or after `at` that is a control character up to CR; `end` when there is none. */
function skipPlain(chunk: Buffer, at: number, end: number): number {
  const lastFour = end - 4
  let i = at
  // Four octets a step with one branch: more than twice as fast as one by one, and this loop is the scanner's cost.
  while (
    i <= lastFour &&
    ((chunk[i]! - 0x0e) | (chunk[i + 1]! - 0x0e) | (chunk[i + 2]! - 0x0e) | (chunk[i + 3]! - 0x0e)) >= 0
  )
    i += 4
  while (i < end && chunk[i]! > 0x0d) i++
  return i
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
    for (let i = at; i < end; i++) {
      if (state === inLine) {
        i = skipPlain(chunk, i, end)
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
