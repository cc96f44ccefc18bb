// Takes one content from the wire to its sink, by DATA or by BDAT, and knows what to answer at its end.
//
// Invariants: once a content is refused (a fault in its bytes, too big, the sink failed) its sink is aborted
// exactly once and the rest is swallowed up to the true end; only then does the refusal go out. The sink never
// gets a second write before the promise of the first is settled: the session waits for what `read…` returns.

import { type SmtpReply, smtpReply } from '../reply.ts'
import { type ContentFault, ContentScanner } from './content-scanner.ts'
import type { ContentAcceptance, MaybePromise } from './handler.ts'
import type { LineInput } from './line-input.ts'
import { handlerFault, tooBig, tooBigAndLast } from './replies.ts'

/** How a reader is made. */
export interface ContentReaderOptions {
  readonly kind: 'data' | 'bdat'
  /** Where the content goes, or the reply that will answer it when it has been swallowed. */
  readonly target: ContentAcceptance | SmtpReply
  readonly maxSizeBytes: number
  /** Told when the sink throws or rejects. */
  readonly onFault: (fault: unknown) => void
}

const faultNames: Readonly<Record<ContentFault['kind'], string>> = {
  'bare-cr': 'a CR without LF',
  'bare-lf': 'an LF without CR',
  nul: 'a NUL byte',
}

/** A refused content may be this many times the limit before the session is cut. */
const swallowFactor = 4

/** Reads one content. */
export class ContentReader {
  readonly #options: ContentReaderOptions
  readonly #acceptance: ContentAcceptance | null
  readonly #scanner: ContentScanner
  #isSinkOpen: boolean
  #chunkRemaining = 0
  /** The reply that answers the content once it is swallowed; null while all is well. */
  refusal: SmtpReply | null
  /** DATA: the end was seen. BDAT: the current chunk is complete. */
  isEnded = false
  /** Octets read from the wire. */
  receivedBytes = 0

  constructor(options: ContentReaderOptions) {
    this.#options = options
    this.#acceptance = 'sink' in options.target ? options.target : null
    this.#isSinkOpen = this.#acceptance !== null
    this.refusal = 'sink' in options.target ? null : options.target
    this.#scanner = new ContentScanner({
      kind: options.kind,
      mendsBareLf: this.#acceptance?.bareLf === 'mend',
    })
  }

  /** Reads DATA from the input. A promise means: wait before the next call. */
  readData(input: LineInput): Promise<void> | null {
    const { buffer, at } = input
    const end = this.#scanner.scan(buffer, at, buffer.length)
    this.isEnded = end >= 0
    const next = end >= 0 ? end : buffer.length
    this.receivedBytes += next - at
    input.advanceTo(next)
    return this.#deliver()
  }

  /** Begins a BDAT chunk of so many octets. */
  startChunk(octets: number): void {
    this.#chunkRemaining = octets
    this.isEnded = octets === 0
    if (this.#scanner.sizeBytes + octets > this.#options.maxSizeBytes) this.refuse(tooBig)
  }

  /** Reads octets of the current chunk. A promise means: wait before the next call. */
  readChunk(input: LineInput): Promise<void> | null {
    const { buffer, at } = input
    const octets = Math.min(this.#chunkRemaining, buffer.length - at)
    this.#chunkRemaining -= octets
    this.isEnded = this.#chunkRemaining === 0
    this.receivedBytes += octets
    // What is refused already is only counted.
    if (this.refusal === null) this.#scanner.scan(buffer, at, at + octets)
    input.advanceTo(at + octets)
    return this.#deliver()
  }

  /** The last BDAT chunk is read. */
  finishChunks(): Promise<void> | null {
    this.#scanner.finishChunks()
    return this.#deliver()
  }

  /** The reply to the whole content. */
  finish(): MaybePromise<SmtpReply> {
    if (this.refusal !== null || this.#acceptance === null) return this.refusal ?? handlerFault
    this.#isSinkOpen = false
    const { sizeBytes, longestLineBytes, hasEightBit, hasDotLine } = this.#scanner
    return this.#acceptance.sink.end({ sizeBytes, hasEightBit, longestLineBytes, hasDotLine })
  }

  /** Gives the content up; what still arrives is swallowed and answered with `reply`. */
  refuse(reply: SmtpReply): void {
    this.refusal ??= reply
    this.abort()
  }

  /** Aborts the sink if it still expects anything. */
  abort(): void {
    if (!this.#isSinkOpen) return
    this.#isSinkOpen = false
    try {
      this.#acceptance?.sink.abort()
    } catch (fault) {
      this.#options.onFault(fault)
    }
  }

  /** True when so much was swallowed that it is not worth waiting for the end. */
  get isAbsurd(): boolean {
    return this.refusal !== null && this.receivedBytes > this.#options.maxSizeBytes * swallowFactor + 65_536
  }

  #deliver(): Promise<void> | null {
    const scanner = this.#scanner
    const output = scanner.take()
    if (scanner.fault !== null && this.refusal === null) {
      const { kind, line } = scanner.fault
      this.refuse(
        smtpReply(
          550,
          '5.6.0',
          `The content has ${faultNames[kind]} on line ${line}; lines must end in CRLF`,
        ),
      )
    }
    if (scanner.sizeBytes > this.#options.maxSizeBytes) this.refuse(tooBig)
    if (output === null || !this.#isSinkOpen || this.#acceptance === null) return null
    try {
      const written = this.#acceptance.sink.write(output)
      return written instanceof Promise ? written.catch(fault => this.#sinkFailed(fault)) : null
    } catch (fault) {
      this.#sinkFailed(fault)
      return null
    }
  }

  #sinkFailed(fault: unknown): void {
    this.#options.onFault(fault)
    this.refuse(handlerFault)
  }
}

/** The reply to a content that is cut off before its end. */
export const absurdContentReply: SmtpReply = tooBigAndLast
