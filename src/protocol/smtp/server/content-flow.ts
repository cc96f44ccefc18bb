// Contents of a session: from DATA or BDAT to the reply at their end.
//
// DATA has one reader from 354 to CRLF.CRLF; BDAT has one reader over all its chunks. A BDAT that is refused gets a
// reader without a sink, which swallows its octets and leaves the session in the phase it was in, or ends the
// transaction when it belonged to one.

import { replyClass, type SmtpReply, smtpReply } from '../reply.ts'
import type { BdatChunk } from './command.ts'
import { absurdContentReply, ContentReader } from './content-reader.ts'
import type { ContentAcceptance } from './handler.ts'
import type { Phase } from './phases.ts'
import type { SessionCore } from './session-core.ts'

/** The contents of one session. */
export class ContentFlow {
  readonly #core: SessionCore
  readonly #resetTransaction: () => void
  #reader: ContentReader | null = null
  #chunk: BdatChunk | null = null
  #phaseBeforeChunk: Phase = 'ready'

  constructor(core: SessionCore, resetTransaction: () => void) {
    this.#core = core
    this.#resetTransaction = resetTransaction
  }

  /** Gives up an open content. */
  abort(): void {
    this.#reader?.abort()
    this.#reader = null
  }

  beginData(acceptance: ContentAcceptance): void {
    this.#reader = this.#newReader('data', acceptance)
    this.#core.enter('data')
  }

  /** A `target` of null goes on with the running content. */
  beginChunk(chunk: BdatChunk, target: ContentAcceptance | SmtpReply | null): void {
    if (target !== null) {
      this.abort()
      this.#reader = this.#newReader('bdat', target)
    }
    this.#reader?.startChunk(chunk.octets)
    this.#chunk = chunk
    this.#phaseBeforeChunk = this.#core.phase
    this.#core.enter('octets')
  }

  /** Takes what the input has of a DATA content; false when there is nothing to take. */
  readData(): boolean {
    const reader = this.#reader
    if (reader === null || this.#core.input.length === 0) return false
    // The sink may keep what it gets.
    this.#core.input.own()
    const before = reader.receivedBytes
    const written = reader.readData(this.#core.input)
    this.#advanced(reader, before)
    this.#whenWritten(written, () => {
      if (reader.isEnded) this.#finish(reader)
    })
    return true
  }

  /** Takes what the input has of a BDAT chunk; false when there is nothing to take. */
  readOctets(): boolean {
    const reader = this.#reader
    const chunk = this.#chunk
    if (reader === null || chunk === null) return false
    if (!reader.isEnded && this.#core.input.length === 0) return false
    this.#core.input.own()
    const before = reader.receivedBytes
    const written = reader.isEnded ? null : reader.readChunk(this.#core.input)
    this.#advanced(reader, before)
    this.#whenWritten(written, () => {
      if (reader.isEnded) this.#chunkDone(reader, chunk)
    })
    return true
  }

  #tellRefused(reply: SmtpReply): void {
    const core = this.#core
    core.tell('refused', () => core.handler.refused?.('content', reply, ''))
  }

  #newReader(kind: 'data' | 'bdat', target: ContentAcceptance | SmtpReply): ContentReader {
    const core = this.#core
    return new ContentReader({
      kind,
      target,
      maxSizeBytes: core.options.maxSizeBytes,
      onFault: fault => core.reportFault(fault, 'content'),
    })
  }

  #advanced(reader: ContentReader, before: number): void {
    const { times } = this.#core
    times.activeMs = this.#core.nowMs
    times.windowBytes += reader.receivedBytes - before
    if (!reader.isAbsurd || reader.isEnded) return
    this.#tellRefused(absurdContentReply)
    this.#core.end('flood', absurdContentReply)
  }

  /** Goes on at once when the sink took the bytes at once. */
  #whenWritten(written: Promise<void> | null, goOn: () => void): void {
    if (this.#core.isGone) return
    if (written === null) goOn()
    else this.#core.ask<void>({ about: 'content', ask: () => written, answered: goOn })
  }

  #chunkDone(reader: ContentReader, chunk: BdatChunk): void {
    const core = this.#core
    if (reader.refusal !== null) {
      const before = this.#phaseBeforeChunk
      this.#reader = null
      if (before === 'rcpt' || before === 'chunks') {
        this.#tellRefused(reader.refusal)
        this.#resetTransaction()
      } else core.enter(before)
      core.answer(reader.refusal)
    } else if (chunk.isLast) this.#whenWritten(reader.finishChunks(), () => this.#finish(reader))
    else {
      core.enter('chunks')
      core.answer(smtpReply(250, '2.0.0', `${chunk.octets} octets received`))
    }
  }

  #finish(reader: ContentReader): void {
    const core = this.#core
    core.ask({
      about: 'content',
      ask: () => reader.finish(),
      answered: (reply: SmtpReply) => {
        if (reader.refusal !== null) this.#tellRefused(reader.refusal)
        this.#reader = null
        this.#resetTransaction()
        if (replyClass(reply) === 2) core.tally.acceptedContent()
        core.answerContent(reply)
      },
    })
  }
}
