// The form of a command: one row of the command table, one file in command/.
//
// The session runs each in the same steps: (1) flags and phase, (2) `parse`, which judges the text alone,
// (3) `proceed`, which asks the handler, (4) `settle`, which changes the session and gives the reply.
// Steps 3 and 4 are apart because the handler may answer later.

import type { SmtpReply } from '../reply.ts'
import type { ContentAcceptance, MaybePromise, SmtpSessionFacts, SmtpSessionHandler } from './handler.ts'
import type { CloseReason } from './observer.ts'
import type { SmtpServerOptions } from './options.ts'
import type { Phase } from './phases.ts'
import type { SaslDialogue } from './sasl.ts'

/** Text judged: the arguments, or the reply that refuses it. */
export type CheckedText<Args> =
  | { readonly ok: true; readonly args: Args }
  | { readonly ok: false; readonly reply: SmtpReply }

/** What commands may see of a session and do to it. */
export interface CommandSession {
  readonly options: SmtpServerOptions
  readonly handler: SmtpSessionHandler
  readonly facts: SmtpSessionFacts
  readonly phase: Phase
  /** Asked once when the client was known. */
  readonly isTrusted: boolean
  /** The AUTH dialogue, null outside. */
  sasl: SaslDialogue | null
  /** True when the MAIL of the open transaction had SMTPUTF8. */
  readonly isUtf8Transaction: boolean
  /** Recipients accepted in the open transaction. */
  rcptCount: number
  /** MAIL commands accepted so far. */
  readonly mailCount: number
  enter(phase: Phase): void
  greet(name: string, isExtended: boolean): void
  authenticated(name: string): void
  beginTransaction(isUtf8: boolean): void
  /** Ends the open transaction, if any, and goes back to `ready`. */
  resetTransaction(): void
  /** DATA: content follows. */
  beginData(acceptance: ContentAcceptance): void
  /** BDAT: so many octets follow; `target` answers them, null for one more chunk of a running content. */
  beginChunk(chunk: BdatChunk, target: ContentAcceptance | SmtpReply | null): void
  beginTls(): void
  /** Closes after the reply of the command. */
  closeAfterReply(reason: CloseReason): void
}

/** The argument of BDAT. */
export interface BdatChunk {
  readonly octets: number
  readonly isLast: boolean
}

/** One command. */
export interface SmtpCommand<Args, Result> {
  readonly verb: string
  /** Phases in which it may come; elsewhere `misplaced` answers. */
  readonly phases: ReadonlySet<Phase>
  readonly misplaced: (phase: Phase) => SmtpReply
  /** Allowed while STARTTLS is still owed. */
  readonly isAllowedBeforeTls: boolean
  /** A pipelining client must wait for its reply (RFC 2920 §3.1). */
  readonly isLastInGroup: boolean
  /** Counts as junk when no message follows. */
  readonly isJunk: boolean
  readonly isAuthLine: boolean
  /** `text` is what follows the verb and its space. */
  parse(text: string, session: CommandSession): CheckedText<Args>
  proceed(session: CommandSession, args: Args): MaybePromise<Result | SmtpReply>
  /** Null: the reply comes later. */
  settle(session: CommandSession, args: Args, result: Result | SmtpReply): SmtpReply | null
  /** The session was gone before the handler answered. */
  abandon?(result: Result | SmtpReply): void
  /** Refused before `proceed`: for BDAT, whose octets follow all the same. True when it will answer itself. */
  swallow?(session: CommandSession, text: string, reply: SmtpReply): boolean
}

/** A row of the table, its argument types forgotten. */
export type AnySmtpCommand = SmtpCommand<unknown, unknown>

const transactionPhases: readonly Phase[] = ['greeted', 'ready', 'mail', 'rcpt', 'chunks']

/** Every phase in which commands are read. */
export const anyCommandPhase: ReadonlySet<Phase> = new Set(transactionPhases)

/** Makes a row: flags default to false, phases to all. */
export function defineCommand<Args, Result>(
  command: Pick<SmtpCommand<Args, Result>, 'verb' | 'parse' | 'proceed' | 'settle'> &
    Partial<SmtpCommand<Args, Result>>,
  misplacedReply?: SmtpReply,
): AnySmtpCommand {
  const row: SmtpCommand<Args, Result> = {
    phases: anyCommandPhase,
    misplaced: () => misplacedReply ?? { code: 503, enhanced: '5.5.1', lines: ['Bad sequence of commands'] },
    isAllowedBeforeTls: false,
    isLastInGroup: false,
    isJunk: false,
    isAuthLine: false,
    ...command,
  }
  return row as AnySmtpCommand
}

/** A command that needs no handler: its reply is known when its text is judged. */
export function defineSimpleCommand(
  command: Partial<SmtpCommand<string, never>> & {
    readonly verb: string
    readonly run: (session: CommandSession, text: string) => SmtpReply
  },
): AnySmtpCommand {
  const { run, ...row } = command
  return defineCommand<string, never>({
    parse: text => ({ ok: true, args: text }),
    proceed: (session, text) => run(session, text),
    settle: (_session, _text, reply) => reply,
    ...row,
  })
}
