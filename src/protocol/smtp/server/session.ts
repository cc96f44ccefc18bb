// The SMTP server session: bytes in, replies out, between a socket and a handler that decides.
//
// The life of a connection:
//   1. PROXY header, when the listener asks for one; 2. TLS handshake, when TLS is implicit;
//   3. `handler.open`, one look for early talkers, the greeting;
//   4. commands and contents, each in the phase table's order; 5. the last reply, the peer's FIN, `handler.closed`.
// Invariants: one place changes phase (`enter`), one place sends replies (`#send`), one loop reads input (`#run`).
// While a promise of the handler is open no input is read. All replies of one turn leave in one write.

import type { Socket } from 'node:net'
import { replyClass, type SmtpReply, smtpReply } from '../reply.ts'
import { authResponse } from './command/auth.ts'
import type { AnySmtpCommand, BdatChunk, CommandSession } from './command.ts'
import { commandTable, httpVerbs } from './commands.ts'
import { absurdContentReply, ContentReader } from './content-reader.ts'
import { findExpiry, type SessionTimes } from './deadlines.ts'
import type { ContentAcceptance, MaybePromise, SmtpSessionFacts, SmtpSessionHandler } from './handler.ts'
import { LineInput } from './line-input.ts'
import type { CloseReason, SmtpSessionObserver } from './observer.ts'
import type { SmtpServerOptions } from './options.ts'
import { mayFollow, type Phase, phaseTable } from './phases.ts'
import { parseProxyHeader } from './proxy-protocol.ts'
import * as replies from './replies.ts'
import { encodeReply } from './reply-encoding.ts'
import type { SaslDialogue } from './sasl.ts'
import { Tally } from './tally.ts'
import type { Ticker, Ticking } from './ticker.ts'
import { type HandshakeResult, Wire } from './wire.ts'

/** What a session is made of. */
export interface SmtpServerSessionPorts {
  /** An accepted connection, not read yet; plain also where TLS is implicit. The session owns it from here on. */
  readonly socket: Socket
  readonly handler: SmtpSessionHandler
  readonly options: SmtpServerOptions
  readonly ticker: Ticker
  readonly observer?: SmtpSessionObserver
}

/** A running session, for its listener. */
export interface SmtpServerSession {
  readonly facts: SmtpSessionFacts
  /** True once `handler.closed` was called. */
  readonly isClosed: boolean
  /** Lets an open transaction end, then says 421 4.3.2 and closes. */
  drain(): void
  /** Cuts the connection at once; an open content is aborted. */
  destroy(): void
}

/** Starts to serve a connection. */
export function serveSmtpSession(ports: SmtpServerSessionPorts): SmtpServerSession {
  const session = new Session(ports)
  session.start()
  return session
}

type Facts = { -readonly [K in keyof SmtpSessionFacts]: SmtpSessionFacts[K] }

const unmappedAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

class Session implements SmtpServerSession, CommandSession, Ticking {
  readonly options: SmtpServerOptions
  readonly handler: SmtpSessionHandler
  readonly facts: Facts
  readonly #ticker: Ticker
  readonly #observer: SmtpSessionObserver | undefined
  readonly #wire: Wire
  readonly #input = new LineInput()
  readonly #tally = new Tally()
  readonly #times: SessionTimes
  #phase: Phase = 'arrived'
  #isRunning = false
  #isWaiting = false
  #hasPeerEnded = false
  #isDraining = false
  #closeReason: CloseReason | null = null
  #content: ContentReader | null = null
  #chunk: BdatChunk | null = null
  #phaseAfterChunk: Phase = 'ready'
  #isTlsDue = false
  #hasTransaction = false
  isTrusted = false
  isUtf8Transaction = false
  rcptCount = 0
  mailCount = 0
  sasl: SaslDialogue | null = null

  constructor(ports: SmtpServerSessionPorts) {
    this.options = ports.options
    this.handler = ports.handler
    this.#ticker = ports.ticker
    this.#observer = ports.observer
    this.facts = {
      clientAddress: unmappedAddress(ports.socket.remoteAddress ?? ''),
      clientPort: ports.socket.remotePort ?? 0,
      helloName: '',
      isExtended: false,
      tls: null,
      authenticatedAs: null,
    }
    const nowMs = ports.ticker.nowMs
    this.#times = {
      startedMs: nowMs,
      activeMs: nowMs,
      waitingSinceMs: null,
      windowStartMs: nowMs,
      windowBytes: 0,
    }
    this.#wire = new Wire(ports.socket, {
      bytes: chunk => this.#received(chunk),
      drained: () => this.#run(),
      ended: () => this.#peerEnded(),
      closed: () => this.#closed(),
    })
  }

  get phase(): Phase {
    return this.#phase
  }

  get isClosed(): boolean {
    return this.#phase === 'closed'
  }

  // ---- opening -------------------------------------------------------------------------------------------------

  start(): void {
    this.#ticker.add(this)
    if (this.options.proxyProtocol === 'required') {
      this.enter('proxy')
      this.#wire.listen()
    } else this.#arrived(null)
  }

  /** The client's address is known. */
  #arrived(received: Buffer | null): void {
    this.isTrusted = this.options.trustsClient(this.facts)
    if (this.options.tls.mode === 'implicit') {
      this.enter('handshake')
      this.#handshake(received, () => this.#open())
      return
    }
    this.#open()
  }

  #open(): void {
    this.enter('opening')
    this.#wire.listen()
    this.#ask(
      'open',
      () => this.handler.open(this.facts),
      refusal => {
        if (refusal !== null) this.#end('refused', refusal)
        else if (this.#isDraining) this.#end('drain', replies.draining)
        else this.#greetAfterLook()
      },
    )
  }

  /** Two turns of the event loop, so that bytes that were there before the greeting have been read. */
  #greetAfterLook(): void {
    setImmediate(() => setImmediate(() => this.#greet()))
  }

  #greet(): void {
    if (this.#phase !== 'opening') return
    const input = this.#input
    if (input.length > 0) {
      const isTls = input.buffer[input.at] === 0x16
      const verb = input.buffer.toString('latin1', input.at, input.at + 8).split(' ')[0] ?? ''
      if (isTls) this.#end('not-smtp', replies.tlsOnPlainPort)
      else if (httpVerbs.has(verb)) this.#end('not-smtp', replies.notSmtp)
      else this.#end('early-talker', replies.earlyTalker)
      return
    }
    this.enter('greeted')
    this.#send(smtpReply(220, '', `${this.options.hostname} ESMTP`))
    if (this.#isDraining) this.#end('drain', replies.draining)
    this.#wire.flush()
  }

  #readProxyHeader(): void {
    const input = this.#input
    const header = parseProxyHeader(input.buffer.subarray(input.at))
    if (header.kind === 'incomplete') return
    if (header.kind === 'bad') {
      this.#cut('proxy-header')
      return
    }
    input.advanceTo(input.at + header.bytes)
    if (header.source !== null) {
      this.facts.clientAddress = unmappedAddress(header.source.address)
      this.facts.clientPort = header.source.port
    }
    const rest =
      input.length > 0 && this.options.tls.mode === 'implicit' ? input.buffer.subarray(input.at) : null
    if (rest !== null) input.clear()
    this.#arrived(rest)
  }

  // ---- TLS -----------------------------------------------------------------------------------------------------

  beginTls(): void {
    this.#isTlsDue = true
  }

  /** After the 220 is queued: everything known from before is forgotten (RFC 3207 §4.2). */
  #upgrade(): void {
    this.#isTlsDue = false
    this.resetTransaction()
    this.facts.helloName = ''
    this.facts.isExtended = false
    this.facts.authenticatedAs = null
    this.enter('handshake')
    this.#handshake(null, () => {
      this.enter('greeted')
      this.#wire.listen()
    })
  }

  #handshake(received: Buffer | null, secured: () => void): void {
    const { tls } = this.options
    if (tls.mode === 'none') return
    this.#input.clear()
    try {
      this.#wire.startTls(tls.secureContext(), received, result => this.#handshakeDone(result, secured))
    } catch (fault) {
      this.#observer?.onFault?.(fault, 'tls')
      this.#cut('tls-failed')
    }
  }

  #handshakeDone(result: HandshakeResult, secured: () => void): void {
    this.#observer?.onTlsHandshake?.(result.ok ? null : result.error)
    if (this.#phase !== 'handshake') return
    if (!result.ok) {
      this.#cut('tls-failed')
      return
    }
    this.facts.tls = { protocol: result.protocol, cipher: result.cipher }
    secured()
    if (this.#isDraining) this.#drainIfIdle()
  }

  // ---- reading -------------------------------------------------------------------------------------------------

  #received(chunk: Buffer): void {
    if (phaseTable[this.#phase].reads === 'waste') return
    this.#input.push(chunk)
    this.#run()
  }

  #peerEnded(): void {
    this.#hasPeerEnded = true
    if (!this.#isWaiting) this.#finishEnded()
  }

  #finishEnded(): void {
    this.#closeReason ??= 'client-gone'
    this.#content?.abort()
    if (this.#phase !== 'closing' && this.#phase !== 'closed') this.enter('closing')
    this.#wire.end()
  }

  /** Uses up the input as far as phases, promises and the output buffer let it. */
  #run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    while (!this.#isWaiting && !this.#wire.isFull && this.#step()) {}
    this.#isRunning = false
    if (this.#isWaiting || this.#wire.isFull) {
      if (this.#input.length > this.options.limits.inputBytesMax) this.#wire.pause()
      return
    }
    if (this.#isTlsDue) this.#upgrade()
    this.#wire.flush()
    this.#wire.resume()
    if (this.#hasPeerEnded && this.#phase !== 'closed') this.#finishEnded()
  }

  /** Takes one line or one piece of content; false when there is nothing to take. */
  #step(): boolean {
    if (this.#isTlsDue) return false
    switch (phaseTable[this.#phase].reads) {
      case 'commands':
        return this.#input.length > 0 && this.#readLine()
      case 'sasl':
        return this.#input.length > 0 && this.#readLine()
      case 'data':
        return this.#input.length > 0 && this.#readData()
      case 'octets':
        return this.#readOctets()
      case 'proxy':
        this.#readProxyHeader()
        return false
      case 'nothing':
        return false
      case 'waste':
        this.#input.clear()
        return false
    }
  }

  #readLine(): boolean {
    const input = this.#input
    if (input.buffer[input.at] === 0x16) {
      this.#end('not-smtp', replies.tlsOnPlainPort)
      return true
    }
    const { authLineBytes, commandLineBytes } = this.options.limits
    const status = input.next(Math.max(authLineBytes, commandLineBytes))
    if (status === 'none') return false
    this.#times.activeMs = this.#ticker.nowMs
    if (status === 'line') {
      if (this.#phase === 'sasl') this.#runCommand(authResponse, input.line)
      else this.#dispatch(input.line, input.lineBytes)
      return true
    }
    this.#tally.command(false)
    if (status === 'flood') this.#end('flood', replies.lineFlood)
    else {
      if (this.#phase === 'sasl') {
        this.sasl = null
        this.enter('ready')
      }
      this.#answer(status === 'too-long' ? replies.lineTooLong : replies.malformedLine)
    }
    return true
  }

  // ---- commands ------------------------------------------------------------------------------------------------

  #dispatch(line: string, lineBytes: number): void {
    const space = line.indexOf(' ')
    const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase()
    const command = commandTable.get(verb)
    if (command === undefined) {
      this.#tally.command(true)
      if (httpVerbs.has(verb)) this.#end('not-smtp', replies.notSmtp)
      else
        this.#answer(
          lineBytes > this.options.limits.commandLineBytes ? replies.lineTooLong : replies.unknownCommand,
        )
      return
    }
    this.#tally.command(command.isJunk)
    const text = space < 0 ? '' : line.slice(space + 1).trimStart()
    const refusal = this.#refusal(command, lineBytes)
    if (refusal === null) this.#runCommand(command, text)
    else if (refusal === replies.impatient) this.#end('pipelining', refusal)
    else if (refusal === replies.bytesAfterStartTls) this.#end('starttls-injection', refusal)
    else if (command.swallow?.(this, text, refusal) !== true) this.#answerCommand(command, refusal)
  }

  /** Why a command is refused before its text is read. */
  #refusal(command: AnySmtpCommand, lineBytes: number): SmtpReply | null {
    const { options, facts } = this
    if (!command.isAuthLine && lineBytes > options.limits.commandLineBytes) return replies.lineTooLong
    if (command.isLastInGroup && this.#input.length > 0) {
      if (command.verb === 'STARTTLS') return replies.bytesAfterStartTls
      const isKnown = facts.authenticatedAs !== null || this.isTrusted
      if (options.forbidsUnauthPipelining && !isKnown) return replies.impatient
    }
    if (!command.isAllowedBeforeTls && this.#owesTls) return replies.tlsFirst
    return command.phases.has(this.#phase) ? null : command.misplaced(this.#phase)
  }

  get #owesTls(): boolean {
    const { options, facts } = this
    return options.requiresAuth && options.tls.mode === 'starttls' && facts.tls === null && !this.isTrusted
  }

  #runCommand(command: AnySmtpCommand, text: string): void {
    const checked = command.parse(text, this)
    if (!checked.ok) {
      this.#answerCommand(command, checked.reply)
      return
    }
    const { args } = checked
    this.#ask(
      command.verb,
      () => command.proceed(this, args),
      result => {
        const reply = command.settle(this, args, result)
        if (reply !== null) this.#answerCommand(command, reply)
      },
      result => command.abandon?.(result),
    )
  }

  #answerCommand(command: AnySmtpCommand, reply: SmtpReply): void {
    this.#answer(reply)
    // The text that a client sends after a refused DATA must not be read as commands.
    if (command.verb === 'DATA' && reply.code !== 354 && this.#input.length > 0 && this.#closeReason === null)
      this.#end('pipelining', replies.impatient)
  }

  /**
   * Asks the handler and goes on with its answer, at once or later. A throw or a rejection becomes 451 4.3.0 and
   * ends the transaction; an answer that comes after the end of the session goes to `abandon`.
   */
  #ask<T>(
    what: string,
    question: () => MaybePromise<T | SmtpReply>,
    proceed: (answer: T | SmtpReply) => void,
    abandon?: (answer: T | SmtpReply) => void,
  ): void {
    const failed = (fault: unknown): void => {
      this.#observer?.onFault?.(fault, what)
      this.resetTransaction()
      proceed(replies.handlerFault)
    }
    let answer: MaybePromise<T | SmtpReply>
    try {
      answer = question()
    } catch (fault) {
      failed(fault)
      return
    }
    if (!(answer instanceof Promise)) {
      proceed(answer)
      return
    }
    this.#isWaiting = true
    this.#times.waitingSinceMs = this.#ticker.nowMs
    const settled = (goOn: () => void): void => {
      this.#isWaiting = false
      this.#times.waitingSinceMs = null
      this.#times.activeMs = this.#ticker.nowMs
      goOn()
      this.#run()
    }
    answer.then(
      value => settled(() => (this.#isGone ? abandon?.(value) : proceed(value))),
      fault => settled(() => (this.#isGone ? this.#observer?.onFault?.(fault, what) : failed(fault))),
    )
  }

  // ---- what commands do to the session ---------------------------------------------------------------------------

  enter(phase: Phase): void {
    if (!mayFollow(this.#phase, phase))
      throw new Error(`SMTP session: no step from ${this.#phase} to ${phase}`)
    this.#phase = phase
    const nowMs = this.#ticker.nowMs
    this.#times.activeMs = nowMs
    if (phaseTable[phase].deadline === 'content') {
      this.#times.windowStartMs = nowMs
      this.#times.windowBytes = 0
    }
  }

  greet(name: string, isExtended: boolean): void {
    this.facts.helloName = name
    this.facts.isExtended = isExtended
    this.enter('ready')
  }

  authenticated(name: string): void {
    this.facts.authenticatedAs = name
  }

  beginTransaction(isUtf8: boolean): void {
    this.#hasTransaction = true
    this.isUtf8Transaction = isUtf8
    this.rcptCount = 0
    this.mailCount++
    this.enter('mail')
  }

  resetTransaction(): void {
    this.#content?.abort()
    this.#content = null
    if (!this.#hasTransaction) return
    this.#hasTransaction = false
    this.isUtf8Transaction = false
    this.rcptCount = 0
    this.enter('ready')
    this.#tell('reset', () => this.handler.reset())
  }

  closeAfterReply(reason: CloseReason): void {
    this.#closeReason ??= reason
  }

  // ---- content -------------------------------------------------------------------------------------------------

  #newContent(kind: 'data' | 'bdat', target: ContentAcceptance | SmtpReply): ContentReader {
    return new ContentReader({
      kind,
      target,
      maxSizeBytes: this.options.maxSizeBytes,
      onFault: fault => this.#observer?.onFault?.(fault, 'content'),
    })
  }

  beginData(acceptance: ContentAcceptance): void {
    this.#content = this.#newContent('data', acceptance)
    this.enter('data')
  }

  beginChunk(chunk: BdatChunk, target: ContentAcceptance | SmtpReply | null): void {
    if (target !== null) {
      this.#content?.abort()
      this.#content = this.#newContent('bdat', target)
    }
    this.#content?.startChunk(chunk.octets)
    this.#chunk = chunk
    this.#phaseAfterChunk = this.#phase
    this.enter('octets')
  }

  #readData(): boolean {
    const content = this.#content
    if (content === null) return false
    const before = content.receivedBytes
    const written = content.readData(this.#input)
    this.#advanced(content, before)
    this.#afterWrite(written, () => {
      if (content.isEnded) this.#finishContent(content)
    })
    return true
  }

  #readOctets(): boolean {
    const content = this.#content
    const chunk = this.#chunk
    if (content === null || chunk === null || (!content.isEnded && this.#input.length === 0)) return false
    const before = content.receivedBytes
    const written = content.isEnded ? null : content.readChunk(this.#input)
    this.#advanced(content, before)
    this.#afterWrite(written, () => {
      if (content.isEnded) this.#chunkDone(content, chunk)
    })
    return true
  }

  #advanced(content: ContentReader, before: number): void {
    this.#times.activeMs = this.#ticker.nowMs
    this.#times.windowBytes += content.receivedBytes - before
    if (content.isAbsurd && !content.isEnded) this.#end('flood', absurdContentReply)
  }

  /** Goes on at once when the sink took the bytes at once. */
  #afterWrite(written: Promise<void> | null, goOn: () => void): void {
    if (this.#isGone) return
    if (written === null) goOn()
    else this.#ask<void>('content', () => written, goOn)
  }

  #chunkDone(content: ContentReader, chunk: BdatChunk): void {
    if (content.refusal !== null) {
      const after = this.#phaseAfterChunk
      this.#content = null
      if (this.#hasTransaction && (after === 'rcpt' || after === 'chunks')) this.resetTransaction()
      else this.enter(after)
      this.#answer(content.refusal)
    } else if (chunk.isLast) this.#afterWrite(content.finishChunks(), () => this.#finishContent(content))
    else {
      this.enter('chunks')
      this.#answer(smtpReply(250, '2.0.0', `${chunk.octets} octets received`))
    }
  }

  #finishContent(content: ContentReader): void {
    this.#ask(
      'content',
      () => content.finish(),
      reply => {
        this.#content = null
        this.resetTransaction()
        if (replyClass(reply) === 2) this.#tally.acceptedContent()
        this.#answer(reply)
      },
    )
  }

  // ---- replies and the end -------------------------------------------------------------------------------------

  get #isGone(): boolean {
    return this.#phase === 'closing' || this.#phase === 'closed'
  }

  #send(reply: SmtpReply): void {
    this.#observer?.onReply?.(reply.code)
    this.#wire.queue(encodeReply(reply))
    if (reply.code >= 400) this.#tally.error(reply, this.isTrusted || this.facts.authenticatedAs !== null)
  }

  /** Sends the reply to a command or content, and ends the session when that is due. */
  #answer(reply: SmtpReply): void {
    this.#send(reply)
    if (this.#closeReason !== null) this.#shut(this.#closeReason)
    else if (reply.close === true || reply.code === 421 || reply.code === 521) this.#shut('refused')
    else {
      const verdict = this.#tally.verdict(this.options.limits)
      if (verdict !== null) this.#end(verdict.reason, verdict.reply)
      else if (this.#isDraining) this.#drainIfIdle()
    }
  }

  /** The last reply of a session. */
  #end(reason: CloseReason, reply: SmtpReply): void {
    if (this.#isGone) return
    this.#send(reply)
    this.#shut(reason)
  }

  #shut(reason: CloseReason): void {
    if (this.#isGone) return
    this.#closeReason ??= reason
    this.#content?.abort()
    this.enter('closing')
    this.#input.clear()
    this.#wire.end()
  }

  #cut(reason: CloseReason): void {
    this.#closeReason ??= reason
    this.#wire.destroy()
  }

  #closed(): void {
    if (this.#phase === 'closed') return
    this.#content?.abort()
    this.enter('closed')
    this.#ticker.remove(this)
    this.#input.clear()
    this.#tell('closed', () => this.handler.closed())
    this.#observer?.onClose?.({
      reason: this.#closeReason ?? 'client-gone',
      durationMs: this.#ticker.nowMs - this.#times.startedMs,
      commands: this.#tally.commands,
      errors: this.#tally.errors,
      accepted: this.#tally.accepted,
    })
  }

  /** Tells the handler something that has no answer. */
  #tell(what: string, message: () => void): void {
    try {
      message()
    } catch (fault) {
      this.#observer?.onFault?.(fault, what)
    }
  }

  drain(): void {
    this.#isDraining = true
    if (!this.#isWaiting) this.#drainIfIdle()
  }

  #drainIfIdle(): void {
    if (this.#isTlsDue) return
    if (this.#phase === 'proxy' || this.#phase === 'handshake') this.#cut('drain')
    else if (this.#phase === 'greeted' || this.#phase === 'ready' || this.#phase === 'sasl')
      this.#end('drain', replies.draining)
  }

  destroy(): void {
    this.#cut('destroyed')
  }

  tick(nowMs: number): void {
    const expiry = findExpiry(this.#phase, this.#times, this.options.limits, nowMs)
    if (expiry === null) return
    if (expiry.kind === 'drain') this.drain()
    else if (expiry.reply === null || this.#wire.isFull) this.#cut(expiry.reason)
    else this.#end(expiry.reason, expiry.reply)
  }
}
