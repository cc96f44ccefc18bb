// Commands of a session: from a line to the reply, and the transaction they build.
//
// A command runs in these steps: 1. its verb is looked up; 2. line length, pipelining, TLS and phase are checked
// from its row of the table; 3. `parse` judges the text; 4. `proceed` asks the handler, who may answer later;
// 5. `settle` changes the session and gives the reply. A refusal at any step leaves the session as it was.

import type { SmtpReply } from '../reply.ts'
import { authResponse } from './command/auth.ts'
import type { AnySmtpCommand, BdatChunk, CheckedText, CommandSession } from './command.ts'
import { commandTable, httpVerbs } from './commands.ts'
import { ContentFlow } from './content-flow.ts'
import type {
  ContentAcceptance,
  MaybePromise,
  RefusedPart,
  SmtpSessionFacts,
  SmtpSessionHandler,
} from './handler.ts'
import type { LineStatus } from './line-input.ts'
import type { CloseReason } from './observer.ts'
import type { SmtpServerOptions } from './options.ts'
import type { Phase } from './phases.ts'
import * as replies from './replies.ts'
import type { SaslDialogue } from './sasl.ts'
import type { Question, SessionCore } from './session-core.ts'

/** First octet of a TLS record with a ClientHello. */
const tlsRecord = 0x16

/** The commands of one session. */
export class Conversation implements CommandSession {
  readonly #core: SessionCore
  readonly content: ContentFlow
  readonly #running: RunningCommand
  #hasTransaction = false
  isUtf8Transaction = false
  rcptCount = 0
  mailCount = 0
  sasl: SaslDialogue | null = null

  constructor(core: SessionCore) {
    this.#core = core
    this.content = new ContentFlow(core, () => this.resetTransaction())
    this.#running = new RunningCommand(this, (command, reply) => this.#answer(command, reply))
  }

  get options(): SmtpServerOptions {
    return this.#core.options
  }

  get handler(): SmtpSessionHandler {
    return this.#core.handler
  }

  get facts(): SmtpSessionFacts {
    return this.#core.facts
  }

  get phase(): Phase {
    return this.#core.phase
  }

  get isTrusted(): boolean {
    return this.#core.isTrusted
  }

  // ---- lines -----------------------------------------------------------------------------------------------------

  /** Takes one line from the input and runs it; false when there is no complete line. */
  readLine(): boolean {
    const core = this.#core
    const { input } = core
    if (input.length === 0) return false
    if (input.isAtLineStart && input.buffer[input.at] === tlsRecord) {
      core.end('not-smtp', replies.tlsOnPlainPort)
      return true
    }
    const { authLineBytes, commandLineBytes } = core.options.limits
    const status = input.next(Math.max(authLineBytes, commandLineBytes))
    if (status === 'none') return false
    core.times.activeMs = core.nowMs
    if (status !== 'line') this.#badLine(status)
    else if (core.phase === 'sasl') this.#check(authResponse, input.line, input.lineBytes)
    else this.#dispatch(input.line, input.lineBytes)
    return true
  }

  #badLine(status: LineStatus): void {
    const core = this.#core
    core.tally.command(false)
    if (status === 'flood') {
      core.end('flood', replies.lineFlood)
      return
    }
    if (core.phase === 'sasl') {
      this.sasl = null
      core.enter('ready')
    }
    core.answer(status === 'too-long' ? replies.lineTooLong : replies.malformedLine)
  }

  #dispatch(line: string, lineBytes: number): void {
    const core = this.#core
    const space = line.indexOf(' ')
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase()
    const command = commandTable.get(verb)
    if (command === undefined) {
      core.tally.command(true)
      const isLong = lineBytes > core.options.limits.commandLineBytes
      if (httpVerbs.has(verb)) core.end('not-smtp', replies.notSmtp)
      else core.answer(isLong ? replies.lineTooLong : replies.unknownCommand)
      return
    }
    core.tally.command(command.isJunk)
    this.#check(command, space < 0 ? '' : line.slice(space + 1).trimStart(), lineBytes)
  }

  #check(command: AnySmtpCommand, text: string, lineBytes: number): void {
    const core = this.#core
    const refusal = this.#refusal(command, lineBytes)
    if (refusal === null) this.#run(command, text)
    else if (refusal === replies.impatient) core.end('pipelining', refusal)
    else if (refusal === replies.bytesAfterStartTls) core.end('starttls-injection', refusal)
    else if (command.swallow?.(this, text, refusal) !== true) this.#answer(command, refusal)
  }

  /** Why a command is refused before its text is read. */
  #refusal(command: AnySmtpCommand, lineBytes: number): SmtpReply | null {
    const { options, facts, input, phase } = this.#core
    if (!command.isAuthLine && lineBytes > options.limits.commandLineBytes) return replies.lineTooLong
    if (command.isLastInGroup && input.length > 0) {
      if (command.verb === 'STARTTLS') return replies.bytesAfterStartTls
      const isKnown = facts.authenticatedAs !== null || this.isTrusted
      if (options.forbidsUnauthPipelining && !isKnown) return replies.impatient
    }
    if (!command.isAllowedBeforeTls && this.#owesTls) return replies.tlsFirst
    return command.phases.has(phase) ? null : command.misplaced(phase)
  }

  get #owesTls(): boolean {
    const { options, facts } = this.#core
    return options.requiresAuth && options.tls.mode === 'starttls' && facts.tls === null && !this.isTrusted
  }

  #run(command: AnySmtpCommand, text: string): void {
    let checked: CheckedText<unknown>
    try {
      checked = command.parse(text, this)
    } catch (fault) {
      this.#failed(command, fault)
      return
    }
    if (!checked.ok) {
      const part = refusedPart(command.verb, checked.reply)
      if (part !== null) this.#core.tell('refused', () => this.handler.refused?.(part, checked.reply, text))
      this.#answer(command, checked.reply)
      return
    }
    this.#running.of(command, checked.args)
    this.#core.ask(this.#running)
  }

  /** A defect of ours: as with a handler that throws, the client may try again. */
  #failed(command: AnySmtpCommand, fault: unknown): void {
    this.#core.reportFault(fault, command.verb)
    this.resetTransaction()
    // Nobody knows how many octets follow.
    if (command.swallow !== undefined) this.closeAfterReply('errors')
    this.#answer(command, replies.handlerFault)
  }

  #answer(command: AnySmtpCommand, reply: SmtpReply): void {
    const core = this.#core
    core.answer(reply)
    // The text that a client sends after a refused DATA must not be read as commands.
    if (command.verb === 'DATA' && reply.code !== 354 && core.input.length > 0)
      core.end('pipelining', replies.impatient)
  }

  // ---- what commands do to the session ---------------------------------------------------------------------------

  enter(phase: Phase): void {
    this.#core.enter(phase)
  }

  greet(name: string, isExtended: boolean): void {
    this.#core.facts.helloName = name
    this.#core.facts.isExtended = isExtended
    this.#core.enter('ready')
  }

  authenticated(name: string): void {
    this.#core.facts.authenticatedAs = name
  }

  beginTransaction(isUtf8: boolean): void {
    this.#hasTransaction = true
    this.isUtf8Transaction = isUtf8
    this.rcptCount = 0
    this.mailCount++
    this.#core.enter('mail')
  }

  resetTransaction(): void {
    this.content.abort()
    if (!this.#hasTransaction) return
    this.#hasTransaction = false
    this.isUtf8Transaction = false
    this.rcptCount = 0
    this.#core.enter('ready')
    this.#core.tell('reset', () => this.handler.reset())
  }

  /** Before TLS: nothing the client said in the clear may count afterwards (RFC 3207 §4.2). */
  forget(): void {
    const { facts } = this.#core
    this.resetTransaction()
    facts.helloName = ''
    facts.isExtended = false
    facts.authenticatedAs = null
  }

  beginData(acceptance: ContentAcceptance): void {
    this.content.beginData(acceptance)
  }

  beginChunk(chunk: BdatChunk, target: ContentAcceptance | SmtpReply | null): void {
    this.content.beginChunk(chunk, target)
  }

  beginTls(): void {
    this.#core.startTlsAfterReply()
  }

  closeAfterReply(reason: CloseReason): void {
    this.#core.closeAfterReply(reason)
  }
}

/** What a handler is told of. That a message has too many recipients is no refusal: the rest comes in a new transaction. */
function refusedPart(verb: string, reply: SmtpReply): RefusedPart | null {
  if (verb === 'MAIL') return 'mail'
  return verb === 'RCPT' && reply !== replies.tooManyRecipients ? 'rcpt' : null
}

/** The command that the handler is asked about. There is one at a time in a session, so one object serves for all. */
class RunningCommand implements Question<unknown> {
  readonly #session: CommandSession
  readonly #answer: (command: AnySmtpCommand, reply: SmtpReply) => void
  #command: AnySmtpCommand | null = null
  #args: unknown = null

  constructor(session: CommandSession, answer: (command: AnySmtpCommand, reply: SmtpReply) => void) {
    this.#session = session
    this.#answer = answer
  }

  of(command: AnySmtpCommand, args: unknown): void {
    this.#command = command
    this.#args = args
  }

  get about(): string {
    return this.#command!.verb
  }

  ask(): MaybePromise<unknown> {
    return this.#command!.proceed(this.#session, this.#args)
  }

  answered(result: unknown): void {
    const command = this.#command!
    const reply = command.settle(this.#session, this.#args, result)
    if (reply !== null) this.#answer(command, reply)
  }

  abandoned(result: unknown): void {
    this.#command!.abandon?.(result)
  }
}
