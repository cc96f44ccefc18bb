// The SMTP server session: bytes in, replies out, between a socket and a handler that decides.
//
// The life of a connection:
//   1. PROXY header, when the listener asks for one; 2. `handler.open`;
//   3. TLS handshake, when TLS is implicit, one look for early talkers, the greeting (all in opening.ts);
//   4. commands and contents, each in the phase table's order; 5. the last reply, the peer's FIN, `handler.closed`.
// Invariants: one place changes phase (`enter`), one place sends replies (`say`), one loop reads input (`#run`).
// While a promise of the handler is open no input is read. All replies of one turn leave in one write; those to commands
// wait for the handler with it, the answer to a content does not wait for what was sent behind it. One session takes a
// bounded number of commands a turn, so that a flood of them does not keep the others waiting.

import type { Socket } from 'node:net'
import type { SmtpReply } from '../reply.ts'
import { Conversation } from './conversation.ts'
import { findExpiry, type SessionTimes } from './deadlines.ts'
import type { MaybePromise, SmtpSessionFacts, SmtpSessionHandler } from './handler.ts'
import { LineInput } from './line-input.ts'
import type { CloseReason, SmtpSessionObserver } from './observer.ts'
import { Opening, type OpeningCore, unmappedAddress } from './opening.ts'
import type { SmtpServerOptions } from './options.ts'
import { mayFollow, type Phase, phaseTable } from './phases.ts'
import * as replies from './replies.ts'
import { encodeReply } from './reply-encoding.ts'
import type { MutableFacts, Question } from './session-core.ts'
import { Tally } from './tally.ts'
import type { Ticker, Ticking } from './ticker.ts'
import { type BorrowedReads, Wire } from './wire.ts'

/** What a session is made of. */
export interface SmtpServerSessionPorts {
  /** An accepted connection, not read yet; plain also where TLS is implicit. The session owns it from here on. */
  readonly socket: Socket
  /** Given when the socket reads into memory that is used again, instead of giving `data` events. */
  readonly reads?: BorrowedReads
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
  /** How long the client is here without having shown that it may send; null once it has, or where nobody must. */
  readonly strangerMs: number | null
  /** Says 421 4.3.2 as far as the client can hear it now, and cuts the connection. */
  makeRoom(): void
}

/** Starts to serve a connection. */
export function serveSmtpSession(ports: SmtpServerSessionPorts): SmtpServerSession {
  const session = new Session(ports)
  session.start()
  return session
}

/** A thousand pipelined recipients are ten turns; an ordinary message is far below. */
const stepsPerTurnMax = 100

class Session implements SmtpServerSession, OpeningCore, Ticking {
  readonly options: SmtpServerOptions
  readonly handler: SmtpSessionHandler
  readonly facts: MutableFacts
  readonly #ticker: Ticker
  readonly #observer: SmtpSessionObserver | undefined
  readonly wire: Wire
  readonly input = new LineInput()
  readonly tally = new Tally()
  readonly times: SessionTimes
  readonly #opening: Opening
  readonly #conversation: Conversation
  #phase: Phase = 'arrived'
  #isRunning = false
  #isWaiting = false
  /** Enough was done in this turn; the rest of the input follows in the next. */
  #isYielding = false
  #hasPeerEnded = false
  /** Set when the session is to end after the open transaction: the last word and its reason. */
  farewell: { readonly reason: CloseReason; readonly reply: SmtpReply } | null = null
  #closeReason: CloseReason | null = null
  #isTlsDue = false
  /** The answer to a content is queued: a client that does not get it sends the content again. */
  #holdsContentAnswer = false
  isTrusted = false

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
    this.times = {
      startedMs: nowMs,
      activeMs: nowMs,
      waitingSinceMs: null,
      unreadSinceMs: null,
      windowStartMs: nowMs,
      windowBytes: 0,
    }
    this.#opening = new Opening(this)
    this.#conversation = new Conversation(this)
    this.wire = new Wire(ports.socket, ports.reads ?? null, {
      bytes: (chunk, isBorrowed) => this.#received(chunk, isBorrowed),
      filled: () => {
        this.times.unreadSinceMs ??= this.#ticker.nowMs
      },
      drained: () => {
        this.times.unreadSinceMs = null
        this.#run()
      },
      ended: () => this.#peerEnded(),
      churned: () => this.cut('tls-churn'),
      closed: () => this.#closed(),
    })
  }

  get nowMs(): number {
    return this.#ticker.nowMs
  }

  get phase(): Phase {
    return this.#phase
  }

  get isClosed(): boolean {
    return this.#phase === 'closed'
  }

  // ---- opening, see opening.ts ---------------------------------------------------------------------------------

  start(): void {
    this.#ticker.add(this)
    this.#opening.start()
  }

  identified(): void {
    this.isTrusted = this.options.trustsClient(this.facts)
  }

  startTlsAfterReply(): void {
    this.#isTlsDue = true
  }

  #upgrade(): void {
    this.#isTlsDue = false
    this.#conversation.forget()
    this.#opening.upgrade()
  }

  handshakeEnded(error: string | null): void {
    this.#observer?.onTlsHandshake?.(error)
  }

  // ---- reading -------------------------------------------------------------------------------------------------

  #received(chunk: Buffer, isBorrowed: boolean): void {
    if (phaseTable[this.#phase].reads === 'waste') return
    this.input.push(chunk, isBorrowed)
    this.#run()
    this.input.own()
  }

  #peerEnded(): void {
    this.#hasPeerEnded = true
    if (!this.#isBusy) this.#finishEnded()
  }

  #finishEnded(): void {
    this.#shut('client-gone')
    this.wire.end()
  }

  /** What is in the input has to wait: for the handler, for the next turn, or for the client to read. */
  get #isBusy(): boolean {
    return this.#isWaiting || this.#isYielding || this.wire.isFull
  }

  /** Uses up the input as far as phases, promises and the output buffer let it. */
  #run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    let steps = 0
    while (!this.#isBusy && this.#step()) {
      // Nothing may come between the 220 to STARTTLS and the handshake.
      if (++steps === stepsPerTurnMax && !this.#isTlsDue) this.#yield()
    }
    this.#isRunning = false
    if (this.#isBusy) {
      if (this.#isWaiting && this.#holdsContentAnswer) this.#flush()
      if (this.input.length > this.options.limits.inputBytesMax) this.wire.pause()
      return
    }
    if (this.#isTlsDue && !this.#hasPeerEnded && !this.isGone) this.#upgrade()
    this.#flush()
    this.wire.resume()
    // Once the last replies fill the connection, they have their time to be read before we close.
    if (this.#hasPeerEnded && !this.wire.isFull) this.#finishEnded()
  }

  #flush(): void {
    this.#holdsContentAnswer = false
    this.wire.flush()
  }

  #yield(): void {
    this.#isYielding = true
    this.#flush()
    setImmediate(() => {
      this.#isYielding = false
      this.#run()
    })
  }

  /** Takes one line or one piece of content; false when there is nothing to take. */
  #step(): boolean {
    if (this.#isTlsDue) return false
    switch (phaseTable[this.#phase].reads) {
      case 'lines':
        return this.#conversation.readLine()
      case 'data':
        return this.#conversation.content.readData()
      case 'octets':
        return this.#conversation.content.readOctets()
      case 'proxy':
        this.#opening.readProxyHeader()
        return false
      case 'nothing':
        return false
      case 'waste':
        this.input.clear()
        return false
    }
  }

  ask<T>(question: Question<T>): void {
    let answer: MaybePromise<T | SmtpReply>
    try {
      answer = question.ask()
    } catch (fault) {
      this.#failed(fault, question)
      return
    }
    if (!(answer instanceof Promise)) {
      this.#answered(answer, question)
      return
    }
    this.#isWaiting = true
    this.times.waitingSinceMs = this.#ticker.nowMs
    answer.then(
      value => {
        this.#stopWaiting()
        this.#answered(value, question)
        this.#run()
      },
      fault => {
        this.#stopWaiting()
        this.#failed(fault, question)
        this.#run()
      },
    )
  }

  #answered<T>(answer: T | SmtpReply, question: Question<T>): void {
    if (this.isGone) question.abandoned?.(answer)
    else question.answered(answer)
  }

  #failed<T>(fault: unknown, question: Question<T>): void {
    this.reportFault(fault, question.about)
    if (this.isGone) return
    this.#conversation.resetTransaction()
    question.answered(replies.handlerFault)
  }

  #stopWaiting(): void {
    this.#isWaiting = false
    const { times } = this
    const nowMs = this.#ticker.nowMs
    // The client could not send while it was our turn.
    times.windowStartMs += nowMs - (times.waitingSinceMs ?? nowMs)
    times.waitingSinceMs = null
    times.activeMs = nowMs
  }

  enter(phase: Phase): void {
    if (!mayFollow(this.#phase, phase))
      throw new Error(`SMTP session: no step from ${this.#phase} to ${phase}`)
    this.#phase = phase
    const nowMs = this.#ticker.nowMs
    this.times.activeMs = nowMs
    if (phaseTable[phase].deadline === 'content') {
      this.times.windowStartMs = nowMs
      this.times.windowBytes = 0
    }
  }

  closeAfterReply(reason: CloseReason): void {
    this.#closeReason ??= reason
  }

  // ---- replies and the end -------------------------------------------------------------------------------------

  get isGone(): boolean {
    return this.#phase === 'closing' || this.#phase === 'closed'
  }

  say(reply: SmtpReply): void {
    this.#observer?.onReply?.(reply.code)
    this.wire.queue(encodeReply(reply))
    if (reply.code >= 400) this.tally.error(reply, this.isTrusted || this.facts.authenticatedAs !== null)
  }

  answer(reply: SmtpReply): void {
    this.say(reply)
    if (this.#closeReason !== null) this.#shut(this.#closeReason)
    else if (reply.close === true || reply.code === 421 || reply.code === 521) this.#shut('refused')
    else {
      const verdict = this.tally.verdict(this.options.limits)
      if (verdict !== null) this.end(verdict.reason, verdict.reply)
      else this.endWhenIdle()
    }
  }

  answerContent(reply: SmtpReply): void {
    this.#holdsContentAnswer = true
    this.answer(reply)
  }

  /** The last reply of a session. */
  end(reason: CloseReason, reply: SmtpReply): void {
    if (this.isGone) return
    this.say(reply)
    this.#shut(reason)
  }

  #shut(reason: CloseReason): void {
    if (this.isGone) return
    this.#closeReason ??= reason
    this.#isTlsDue = false
    this.#conversation.content.abort()
    this.enter('closing')
    const isParting = (reason === 'quit' || reason === 'client-gone') && this.input.length === 0
    this.input.clear()
    if (isParting) this.wire.close()
    else this.wire.end()
  }

  /** Closes without a word. */
  cut(reason: CloseReason): void {
    this.#closeReason ??= reason
    this.#isTlsDue = false
    this.#conversation.content.abort()
    if (!this.isGone) this.enter('closing')
    this.input.clear()
    this.wire.destroy()
  }

  #closed(): void {
    if (this.#phase === 'closed') return
    this.#conversation.content.abort()
    this.enter('closed')
    this.#ticker.delete(this)
    this.input.clear()
    this.tell('closed', () => this.handler.closed())
    this.#observer?.onClose?.({
      reason: this.#closeReason ?? 'client-gone',
      clientAddress: this.facts.clientAddress,
      durationMs: this.#ticker.nowMs - this.times.startedMs,
      commands: this.tally.commands,
      errors: this.tally.errors,
      accepted: this.tally.accepted,
    })
  }

  tell(about: string, message: () => void): void {
    try {
      message()
    } catch (fault) {
      this.reportFault(fault, about)
    }
  }

  reportFault(fault: unknown, about: string): void {
    this.#observer?.onFault?.(fault, about)
  }

  drain(): void {
    this.#endSoon('drain', replies.draining)
  }

  #endSoon(reason: CloseReason, reply: SmtpReply): void {
    this.farewell ??= { reason, reply }
    if (!this.#isWaiting) this.endWhenIdle()
  }

  endWhenIdle(): void {
    if (this.farewell === null || this.#isTlsDue) return
    const { reason, reply } = this.farewell
    if (this.#phase === 'proxy' || this.#phase === 'handshake') this.cut(reason)
    else if (this.#phase === 'greeted' || this.#phase === 'ready' || this.#phase === 'sasl')
      this.end(reason, reply)
  }

  destroy(): void {
    this.cut('destroyed')
  }

  get strangerMs(): number | null {
    const isKnown = !this.options.requiresAuth || this.isTrusted || this.facts.authenticatedAs !== null
    return isKnown ? null : this.#ticker.nowMs - this.times.startedMs
  }

  makeRoom(): void {
    // In the other phases the client expects a greeting or TLS, not a line of text.
    if (phaseTable[this.#phase].deadline === 'command') {
      this.say(replies.crowded)
      this.wire.flush()
    }
    this.cut('crowded')
  }

  tick(nowMs: number): void {
    const expiry = findExpiry(this.#phase, this.times, this.options.limits, nowMs)
    if (expiry === null) return
    if (expiry.kind === 'drain') this.#endSoon('session-time', replies.sessionTooLong)
    else if (expiry.reply === null || this.wire.isFull) this.cut(expiry.reason)
    else this.end(expiry.reason, expiry.reply)
  }
}
