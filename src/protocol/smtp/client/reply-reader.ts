// Bytes in, replies out: the reader of a peer's SMTP replies (RFC 5321 §4.2, RFC 2034).
//
// Place on the path: every answer of a recipient's host passes here before anything else sees it.
// Lenient where the net is lenient: bare LF ends a line, text may be missing, the code of the last line counts.
// Strict in bounds: lines and bytes of a reply, kept text of a line. What is not a reply is a `fault`, never a throw.
// Invariants: memory is bounded by the limits; after `next` returned null no reference to the fed chunk is kept.

import type { SmtpReply } from '../reply.ts'
import { cutBeforeSequence, printableText } from './reply-text.ts'

/** Bounds of one reply. */
export interface ReplyLimits {
  /** Lines of one reply. */
  readonly linesMax: number
  /** Bytes of one reply with line ends. */
  readonly bytesMax: number
  /** Bytes of text kept of each line; the rest is dropped. */
  readonly lineTextBytesMax: number
}

/** 100 lines, 64 KiB, 2 KiB of text a line. */
export const defaultReplyLimits: ReplyLimits = { linesMax: 100, bytesMax: 65_536, lineTextBytesMax: 2_048 }

/** Why the bytes are not a reply. */
export type ReplyFault = 'bad-line' | 'too-many-lines' | 'too-long'

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const TAB = 0x09
const HYPHEN = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NOTHING: Buffer = Buffer.alloc(0)
/** Of an enhanced code. */
const ENHANCED_CHARACTERS_MAX = '5.123.123'.length
/** Code, separator and CR, besides the kept text. */
const LINE_OVERHEAD_BYTES = 5

/** Reads replies from a byte stream. Call `feed`, then `next` until it returns null. */
export class ReplyReader {
  readonly #limits: ReplyLimits
  #chunk: Buffer = NOTHING
  #at = 0
  /** Beginning of a line whose end has not come; allocated at the first need, at most one line long. */
  #held: Buffer | null = null
  #heldBytes = 0
  /** Of that line more came than is held, and not only CR: what is held does not reach its end. */
  #isHeldCut = false
  #lines: string[] = []
  #enhanced = ''
  #replyBytes = 0
  #fault: ReplyFault | null = null

  constructor(limits: ReplyLimits = defaultReplyLimits) {
    this.#limits = limits
  }

  /** Set when the stream stopped being replies; nothing more comes out then. */
  get fault(): ReplyFault | null {
    return this.#fault
  }

  /** Bytes behind the reply that `next` returned last: anything above 0 was sent without being asked. */
  get bytesAhead(): number {
    return this.#chunk.length - this.#at
  }

  /** True when a reply has begun and not ended. */
  get isInsideReply(): boolean {
    return this.#replyBytes > 0
  }

  /** Hands over bytes; `chunk` may be reused as soon as `next` has returned null. */
  feed(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** The next complete reply, or null when more bytes are needed or `fault` is set. */
  next(): SmtpReply | null {
    while (this.#fault === null) {
      const end = this.#chunk.indexOf(LF, this.#at)
      if (end === -1) {
        this.#hold(this.#chunk.length)
        this.#chunk = NOTHING
        this.#at = 0
        return null
      }
      const reply = this.#line(end)
      if (reply !== null) return reply
    }
    return null
  }

  /** Takes the line that ends with the LF at `end`. */
  #line(end: number): SmtpReply | null {
    const start = this.#at
    if (this.#heldBytes === 0) {
      this.#count(end - start + 1)
      this.#at = end + 1
      return this.#parse(this.#chunk, start, end)
    }
    this.#hold(end)
    this.#count(1)
    this.#at = end + 1
    const heldBytes = this.#heldBytes
    const isCut = this.#isHeldCut
    this.#heldBytes = 0
    this.#isHeldCut = false
    return this.#parse(this.#held!, 0, heldBytes, isCut)
  }

  /** Keeps the chunk from the read position to `end` as the beginning of a line, as far as it can matter. */
  #hold(end: number): void {
    if (end === this.#at) return
    this.#count(end - this.#at)
    this.#held ??= Buffer.allocUnsafe(this.#limits.lineTextBytesMax + LINE_OVERHEAD_BYTES)
    const copiedBytes = this.#chunk.copy(this.#held, this.#heldBytes, this.#at, end)
    this.#heldBytes += copiedBytes
    for (let at = this.#at + copiedBytes; at < end && !this.#isHeldCut; at++)
      this.#isHeldCut = this.#chunk[at] !== CR
  }

  #count(bytes: number): void {
    this.#replyBytes += bytes
    if (this.#replyBytes > this.#limits.bytesMax) this.#fault = 'too-long'
  }

  #parse(bytes: Buffer, start: number, lineEnd: number, isCut: boolean = false): SmtpReply | null {
    if (this.#fault !== null) return null
    let end = lineEnd
    while (!isCut && end > start && bytes[end - 1] === CR) end--
    const code = end - start < 3 ? 0 : replyCode(bytes, start)
    const separator = end - start > 3 ? bytes[start + 3]! : SPACE
    if (code === 0 || (separator !== SPACE && separator !== HYPHEN && separator !== TAB)) {
      this.#fault = 'bad-line'
      return null
    }
    this.#text(bytes, Math.min(start + 4, end), end, Math.floor(code / 100))
    if (separator !== HYPHEN) return this.#complete(code)
    if (this.#lines.length >= this.#limits.linesMax) this.#fault = 'too-many-lines'
    return null
  }

  /** Keeps the text of a line, its enhanced code apart. */
  #text(bytes: Buffer, start: number, lineEnd: number, replyClass: number): void {
    const limit = start + this.#limits.lineTextBytesMax
    const end = lineEnd > limit ? cutBeforeSequence(bytes, start, limit) : lineEnd
    const text = printableText(bytes, start, end)
    if (bytes[start] === ZERO + replyClass && bytes[start + 1] === DOT) {
      const length = enhancedCodeLength(text)
      if (length > 0) {
        this.#enhanced = text.slice(0, length)
        this.#lines.push(text.slice(length + 1))
        return
      }
    }
    this.#lines.push(text)
  }

  #complete(code: number): SmtpReply {
    // Lines may disagree; an enhanced code of another class than the final code would be a lie.
    const isSameClass = this.#enhanced.charCodeAt(0) === ZERO + Math.floor(code / 100)
    const reply = { code, enhanced: isSameClass ? this.#enhanced : '', lines: this.#lines }
    this.#lines = []
    this.#enhanced = ''
    this.#replyBytes = 0
    return reply
  }
}

/** How long the enhanced code is that the text begins with (RFC 3463 §2: class.subject.detail); 0 when it has none. */
function enhancedCodeLength(text: string): number {
  let dots = 0
  let digits = 0
  for (let at = 0; at <= ENHANCED_CHARACTERS_MAX; at++) {
    const code = text.charCodeAt(at)
    if (code >= ZERO && code <= ZERO + 9) {
      if (++digits > 3) return 0
    } else if (digits === 0) return 0
    else if (code === DOT && dots < 2) {
      dots++
      digits = 0
    } else return dots === 2 && (code === SPACE || at === text.length) ? at : 0
  }
  return 0
}

/** The three digits at `start`, or 0 when they are not a code from 200 to 599. */
function replyCode(bytes: Buffer, start: number): number {
  const first = bytes[start]! - ZERO
  const second = bytes[start + 1]! - ZERO
  const third = bytes[start + 2]! - ZERO
  if (first < 2 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) return 0
  return first * 100 + second * 10 + third
}
