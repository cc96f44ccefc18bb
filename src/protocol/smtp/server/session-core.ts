// What the parts of a session share: its state for reading and the few acts that belong to its owner.
//
// `Session` implements it; `Opening`, `Conversation` (commands) and `ContentFlow` (contents) work through it.
// There is one of each a connection.

import type { SmtpReply } from '../reply.ts'
import type { SessionTimes } from './deadlines.ts'
import type { MaybePromise, SmtpSessionFacts, SmtpSessionHandler } from './handler.ts'
import type { LineInput } from './line-input.ts'
import type { CloseReason } from './observer.ts'
import type { SmtpServerOptions } from './options.ts'
import type { Phase } from './phases.ts'
import type { Tally } from './tally.ts'

/** The session's facts, for those who may change them. */
export type MutableFacts = { -readonly [K in keyof SmtpSessionFacts]: SmtpSessionFacts[K] }

/** A question to the handler. */
export interface Question<T> {
  /** Named in fault reports: a command, `open`, or `content`. */
  readonly about: string
  ask(): MaybePromise<T | SmtpReply>
  /** The answer, or 451 4.3.0 when the handler threw or rejected; the transaction is reset then. */
  answered(answer: T | SmtpReply): void
  /** The answer came when the session was over. */
  abandoned?(answer: T | SmtpReply): void
}

/** The owner's side. */
export interface SessionCore {
  readonly options: SmtpServerOptions
  readonly handler: SmtpSessionHandler
  readonly facts: MutableFacts
  readonly input: LineInput
  readonly tally: Tally
  readonly times: SessionTimes
  readonly nowMs: number
  readonly phase: Phase
  /** Closing or closed: nothing more is answered. */
  readonly isGone: boolean
  readonly isTrusted: boolean
  /** Changes phase; throws on a step that the table does not have, which only a defect can cause. */
  enter(phase: Phase): void
  /** Asks the handler; while its promise is open no input is read. */
  ask<T>(question: Question<T>): void
  /** Sends the reply to a command or chunk, and ends the session when that is due. */
  answer(reply: SmtpReply): void
  /** The same for a whole content: its reply leaves before the next wait for the handler. */
  answerContent(reply: SmtpReply): void
  /** Sends the last reply and closes. */
  end(reason: CloseReason, reply: SmtpReply): void
  /** The next answer is the last. */
  closeAfterReply(reason: CloseReason): void
  /** TLS starts when the next answer is out. */
  startTlsAfterReply(): void
  /** Tells the handler something that has no answer; a throw is only reported. */
  tell(about: string, message: () => void): void
  reportFault(fault: unknown, about: string): void
}
