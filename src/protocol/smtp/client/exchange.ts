// What the session runs on the wire: an exchange of commands and replies.
//
// A transaction is a long exchange, NOOP or RSET a short one. Exchanges in flight stand in a queue, and each reply belongs
// to the first of them.

import type { SmtpReply } from '../reply.ts'
import type { ConnectionEnd } from './wire.ts'

/** Commands under way and what waits for their replies. */
export interface Exchange {
  /** Names the deadline. */
  readonly stage: string
  /** Time for the next reply. */
  readonly timeoutMs: number
  /** True when no further reply belongs to it. */
  readonly isDone: boolean
  onReply(reply: SmtpReply): void
  /** The connection is over before the exchange was. */
  onEnd(end: ConnectionEnd): void
}

/** One command with one reply. */
export class CommandExchange implements Exchange {
  readonly command: string
  readonly stage: string
  readonly timeoutMs: number
  readonly reply: Promise<SmtpReply | null>
  #isDone = false
  readonly #resolve: (reply: SmtpReply | null) => void

  /** `command` has its CRLF. */
  constructor(command: string, stage: string, timeoutMs: number) {
    this.command = command
    this.stage = stage
    this.timeoutMs = timeoutMs
    const { promise, resolve } = Promise.withResolvers<SmtpReply | null>()
    this.reply = promise
    this.#resolve = resolve
  }

  get isDone(): boolean {
    return this.#isDone
  }

  onReply(reply: SmtpReply): void {
    this.#isDone = true
    this.#resolve(reply)
  }

  onEnd(): void {
    this.#isDone = true
    this.#resolve(null)
  }
}
