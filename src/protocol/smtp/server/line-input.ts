// Bytes received and not yet used, and the cutting of command lines out of them.
//
// A line ends at LF and is well formed only when it ends in CRLF and has no other control character or line separator.
// A bare LF or CR, or a NUL, makes it refused; what stands behind a bare LF, up to the next CRLF, is refused as well,
// so that no command can be hidden behind one. Memory is bounded by the line limit: the bytes of a line that is too
// long are dropped as they come.

import { isUtf8 } from 'node:buffer'

/** What `next` found; `line` leaves the text in `LineInput.line`. */
export type LineStatus = 'none' | 'line' | 'malformed' | 'too-long' | 'flood'

/** An overlong line is read to its end up to here; beyond, the peer is not speaking SMTP. */
const floodBytes = 1_048_576

const emptyBuffer = Buffer.alloc(0)
const plainLine = /^[ -~]*$/
/** With the two of Unicode that end a line for some who read logs. */
const controlCharacter = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** The input of a session. */
export class LineInput {
  #buffer: Buffer = emptyBuffer
  #at = 0
  /** The buffer is not ours: its memory may be used again once the reader of the socket has returned. */
  #isBorrowed = false
  #droppedBytes = 0
  #isCrDropped = false
  /** The line before ended in a bare LF. */
  #isBehindBareLf = false
  /** Text of the last line, without line end and trailing spaces. */
  line = ''
  /** Octets of the last line with its line end. */
  lineBytes = 0

  get length(): number {
    return this.#buffer.length - this.#at
  }

  /** True when what comes next begins a line: not inside one whose beginning was dropped because it is too long. */
  get isAtLineStart(): boolean {
    return this.#droppedBytes === 0
  }

  /** The bytes behind `at` in it are unused. Valid until the next push. */
  get buffer(): Buffer {
    return this.#buffer
  }

  get at(): number {
    return this.#at
  }

  /** `isBorrowed`: the chunk's memory is valid only until {@link own} or the end of what is pushed now. */
  push(chunk: Buffer, isBorrowed: boolean): void {
    const isAlone = this.#at === this.#buffer.length
    this.#buffer = isAlone ? chunk : Buffer.concat([this.#buffer.subarray(this.#at), chunk])
    this.#isBorrowed = isAlone && isBorrowed
    this.#at = 0
  }

  /** What is unused is kept in memory of our own. */
  own(): void {
    if (!this.#isBorrowed) return
    this.#isBorrowed = false
    this.#buffer = this.length === 0 ? emptyBuffer : Buffer.from(this.#buffer.subarray(this.#at))
    this.#at = 0
  }

  /** Marks everything before `at` as used. */
  advanceTo(at: number): void {
    this.#at = at
    if (at === this.#buffer.length) {
      this.#buffer = emptyBuffer
      this.#at = 0
    }
  }

  clear(): void {
    this.#buffer = emptyBuffer
    this.#at = 0
  }

  /** Takes the next line of at most `bytesMax` octets. */
  next(bytesMax: number): LineStatus {
    const buffer = this.#buffer
    const start = this.#at
    const lf = buffer.indexOf(0x0a, start)
    if (lf < 0) {
      const unusedBytes = buffer.length - start
      // Asked again before more has come: the last byte that was dropped is still the last one.
      if (unusedBytes === 0 || unusedBytes + this.#droppedBytes <= bytesMax) return 'none'
      this.#droppedBytes += unusedBytes
      this.#isCrDropped = buffer.at(-1) === 0x0d
      this.clear()
      return this.#droppedBytes > floodBytes ? 'flood' : 'none'
    }
    this.advanceTo(lf + 1)
    this.lineBytes = lf + 1 - start + this.#droppedBytes
    const isCrLf = lf > start ? buffer[lf - 1] === 0x0d : this.#droppedBytes > 0 && this.#isCrDropped
    const isRest = this.#isBehindBareLf
    this.#isBehindBareLf = !isCrLf
    this.#droppedBytes = 0
    if (this.lineBytes > bytesMax) return 'too-long'
    if (isRest || !isCrLf) return 'malformed'
    return this.#decode(buffer, start, lf - 1)
  }

  #decode(buffer: Buffer, start: number, end: number): LineStatus {
    while (end > start && buffer[end - 1] === 0x20) end--
    const text = buffer.toString('latin1', start, end)
    if (plainLine.test(text)) {
      this.line = text
      return 'line'
    }
    const bytes = buffer.subarray(start, end)
    if (!isUtf8(bytes)) return 'malformed'
    this.line = bytes.toString('utf8')
    return controlCharacter.test(this.line) ? 'malformed' : 'line'
  }
}
