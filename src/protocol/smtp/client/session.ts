// A ready connection to a peer: runs transactions one behind the other, and ends.
//
// Place on the path: delivery's connection pool holds these; `transact` is the last step before the recipient's
// host. The queue `#waiting` is what is not written yet, `#flights` what awaits replies, in the order of the
// wire. Where the peer has PIPELINING, the commands of a waiting transaction leave in the same write as the end
// of data of the one before (RFC 2920 §3.1): a caller that keeps two or three transactions in the session pays
// one write and one read each. A peer that answers the content and then stands still, or knows nothing of a MAIL, has lost
// some or all of them with its read buffer: the connection ends as `groupLost`, and the caller does without grouping there.
// Invariants: a reply belongs to the first exchange in flight; 421 ends everything; after `end` is set nothing is
// written.

import { replyClass, type SmtpReply } from '../reply.ts'
import type { PeerCapabilities } from './capabilities.ts'
import { CommandExchange, type Exchange } from './exchange.ts'
import type { ClientLimits, ClientTimeouts } from './options.ts'
import type { TlsFacts } from './tls-types.ts'
import { planTransaction, unsentResult } from './transaction-plan.ts'
import { groupLost, TransactionRun } from './transaction-run.ts'
import type { SmtpTransaction, TransactionResult } from './transaction-types.ts'
import type { ConnectionEnd, SmtpWire, WireUser } from './wire.ts'

/** What is known about the connection; does not change. */
export interface SessionFacts {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly greeting: SmtpReply
  /** The last reply to EHLO (or HELO). */
  readonly hello: SmtpReply
  /** False when the peer knows HELO only. */
  readonly isExtended: boolean
  readonly capabilities: PeerCapabilities
  /** Null when the connection is in the clear. */
  readonly tls: TlsFacts | null
  /** Null when we did not authenticate. */
  readonly authMechanism: 'PLAIN' | 'LOGIN' | null
}

/** An SMTP session as the delivering side sees it. */
export class SmtpClientSession implements WireUser {
  readonly facts: SessionFacts
  /** Called once when the connection ends while no transaction is in it, unless `quit` or `destroy` ended it. */
  onIdleEnd: ((end: ConnectionEnd) => void) | null = null
  readonly #wire: SmtpWire
  readonly #timeouts: ClientTimeouts
  readonly #limits: ClientLimits
  readonly #flights: Exchange[] = []
  readonly #waiting: (TransactionRun | CommandExchange)[] = []
  #transactionCount = 0
  #needsReset = false
  #isAged = false
  #isQuitting = false
  #openedMs: number | null = null
  #hasAnswered = false
  #timed: Exchange | undefined
  #timedSinceMs = 0

  constructor(wire: SmtpWire, facts: SessionFacts, timeouts: ClientTimeouts, limits: ClientLimits) {
    this.facts = facts
    this.#wire = wire
    this.#timeouts = timeouts
    this.#limits = limits
    wire.disarm()
    wire.use(this)
  }

  /** Why the connection is over; null while it lives. */
  get end(): ConnectionEnd | null {
    return this.#wire.end
  }

  /** True when `transact` may be called: alive, not too old, not quitting, and room to wait. */
  get isUsable(): boolean {
    return (
      this.#wire.end === null &&
      !this.#isAged &&
      !this.#isQuitting &&
      this.#waiting.length < this.#limits.waitingTransactionsMax
    )
  }

  /** True when nothing is in flight or waiting. */
  get isIdle(): boolean {
    return this.#flights.length === 0 && this.#waiting.length === 0
  }

  /** A transaction of it ran to a reply of the peer. Known with that reply, before the transaction's result is. */
  get hasAnswered(): boolean {
    return this.#hasAnswered
  }

  /** What the connection waits for, such as `rcpt` or `eom`; null while idle. */
  get stage(): string | null {
    return this.#flights[0]?.stage ?? null
  }

  /** Transactions started or waiting so far, to be held against the peer's MAILMAX. */
  get transactionCount(): number {
    return this.#transactionCount
  }

  /** Sends one content to many recipients. May be called while another transaction runs: it then waits its turn. */
  transact(transaction: SmtpTransaction): Promise<TransactionResult> {
    if (!this.isUsable) {
      return Promise.resolve(
        unsentResult(transaction, {
          kind: 'not-started',
          code: this.end?.code ?? 'NOT_USABLE',
          message: `not sent: ${this.end?.message ?? 'the session takes no further transaction'}`,
        }),
      )
    }
    const plan = planTransaction(transaction, this.facts.capabilities, this.#limits)
    if ('kind' in plan) return Promise.resolve(unsentResult(transaction, plan))
    const run = new TransactionRun(plan, this.#wire, this.#timeouts, () => this.#startWaiting())
    this.#transactionCount++
    this.#waiting.push(run)
    this.#startWaiting()
    return run.result
  }

  /** Clears the peer's state if a failed transaction left it open. True when the session is usable afterwards. */
  async reset(): Promise<boolean> {
    if (this.#needsReset && this.end === null) {
      this.#needsReset = false
      await this.#command('RSET\r\n', 'reset', this.#timeouts.resetMs)
    }
    return this.isUsable
  }

  /** Asks for a sign of life; null when none came. */
  noop(): Promise<SmtpReply | null> {
    return this.#command('NOOP\r\n', 'noop', this.#timeouts.resetMs)
  }

  /** Says QUIT once what runs has finished, waits shortly for the answer, and closes. */
  async quit(): Promise<void> {
    this.#isQuitting = true
    await this.#command('QUIT\r\n', 'quit', this.#timeouts.quitMs)
    this.destroy()
  }

  /** Closes at once; what runs ends as `finished`. */
  destroy(): void {
    this.#isQuitting = true
    this.#wire.finish({ kind: 'finished', code: 'FINISHED', message: 'we closed the connection' })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.quit()
  }

  onReply(reply: SmtpReply): void {
    const first = this.#flights[0]
    if (reply.code === 421 && first?.stage !== 'quit') {
      this.#wire.finish(goodbye(reply))
      return
    }
    if (first === undefined) {
      const message = `the peer sent ${reply.code} without being asked`
      this.#wire.finish({ kind: 'protocol', code: 'EARLY_REPLY', message, reply })
      return
    }
    first.onReply(reply)
    if (this.#wire.end !== null) return
    if (first.isDone) {
      this.#flights.shift()
      if (first instanceof TransactionRun) {
        this.#hasAnswered = true
        this.#needsReset ||= first.leavesTransactionOpen
      } else if (!this.#accepts(first.stage, reply)) return
    }
    if (this.#waiting.length > 0) this.#startWaiting()
    this.#arm()
  }

  onEnd(end: ConnectionEnd): void {
    const isIdle = this.isIdle
    for (const exchange of this.#flights.splice(0)) exchange.onEnd(end)
    for (const exchange of this.#waiting.splice(0)) {
      if (exchange instanceof TransactionRun) exchange.neverStarted(end)
      else exchange.onEnd()
    }
    if (isIdle && !this.#isQuitting) this.onIdleEnd?.(end)
  }

  onTick(nowMs: number): void {
    this.#openedMs ??= nowMs
    if (nowMs - this.#openedMs >= this.#timeouts.sessionMs) this.#isAged = true
    const first = this.#flights[0]
    if (first !== this.#timed) {
      this.#timed = first
      this.#timedSinceMs = nowMs
    }
    if (first === undefined) {
      if (!this.#isAged) return
      // Best effort: the peer learns that we leave, nobody waits for its answer.
      this.#wire.write('QUIT\r\n', 'latin1')
      const message = 'the idle connection was older than a session may get'
      this.#wire.finish({ kind: 'aged', code: 'SESSION_AGED', message })
    } else if (this.#isGroupLost(first, nowMs)) {
      const message = 'the peer did not answer MAIL that came together with the end of a content'
      this.#wire.finish({ kind: 'timeout', code: groupLost, message })
    } else if (nowMs - this.#timedSinceMs >= this.#timeouts.transactionMs) {
      const message = 'the transaction took longer as a whole than one may take'
      this.#wire.finish({ kind: 'timeout', code: 'TIMEOUT_TRANSACTION', message })
    }
  }

  #isGroupLost(first: Exchange, nowMs: number): boolean {
    const { groupedMailMs, mailMs } = this.#timeouts
    return (
      nowMs - this.#timedSinceMs >= Math.min(groupedMailMs, mailMs) &&
      first instanceof TransactionRun &&
      first.mayBeLost
    )
  }

  #command(command: string, stage: string, timeoutMs: number): Promise<SmtpReply | null> {
    if (this.end !== null) return Promise.resolve(null)
    const exchange = new CommandExchange(command, stage, timeoutMs)
    this.#waiting.push(exchange)
    this.#startWaiting()
    return exchange.reply
  }

  /**
   * A peer that refuses RSET cannot be trusted with another transaction. Its reply stays out of the end: it is no answer to
   * the transaction that may have left together with RSET.
   */
  #accepts(stage: string, reply: SmtpReply): boolean {
    if (stage !== 'reset' || replyClass(reply) === 2) return true
    const message = `the peer refused RSET: ${reply.code} ${reply.lines[0]}`
    this.#wire.finish({ kind: 'protocol', code: 'RSET_REFUSED', message })
    return false
  }

  /**
   * Writes what may be written now: nothing while bytes of the peer wait to be read, or they would be taken for the answer
   * to it. When nothing is in flight, they end the connection.
   */
  #startWaiting(): void {
    if (this.#wire.bytesAhead > 0) return
    const canGroup = this.facts.capabilities.hasPipelining
    const mayFollow = canGroup && this.#limits.groupsTransactions
    for (let next = this.#waiting[0]; next !== undefined && this.end === null; next = this.#waiting[0]) {
      if (this.#flights.length > 0 && !(mayFollow && this.#mayFollow(next))) return
      if (next instanceof TransactionRun && !next.mayStart) {
        this.#waiting.shift()
        next.neverStarted(notWanted)
        continue
      }
      const needsReset = this.#needsReset && next instanceof TransactionRun
      if (needsReset) {
        this.#needsReset = false
        this.#flights.push(new CommandExchange('RSET\r\n', 'reset', this.#timeouts.resetMs))
        if (!canGroup) {
          this.#wire.write('RSET\r\n', 'latin1')
          this.#arm()
          return
        }
      }
      this.#waiting.shift()
      this.#flights.push(next)
      const wasFree = this.#flights[0] === next || needsReset
      if (next instanceof TransactionRun) next.start(needsReset ? 'RSET\r\n' : '', !wasFree)
      else this.#wire.write(next.command, 'latin1')
      if (wasFree) this.#arm()
    }
  }

  /** True when `next` may be written while the one exchange in flight awaits its last reply. */
  #mayFollow(next: Exchange): boolean {
    const last = this.#flights[0]
    return (
      this.#flights.length === 1 &&
      next instanceof TransactionRun &&
      last instanceof TransactionRun &&
      last.awaitsLastReplyOnly
    )
  }

  #arm(): void {
    const first = this.#flights[0]
    if (first === undefined) this.#wire.disarm()
    else this.#wire.armSending(first.stage, this.#timeouts.blockMs, first.timeoutMs)
  }
}

const notWanted = { code: 'NOT_WANTED', message: 'when its turn came it was too late' }

function goodbye(reply: SmtpReply): ConnectionEnd {
  const message = `the peer closed the session: 421 ${reply.lines[0]}`
  return { kind: 'said-goodbye', code: 'SAID_421', message, reply }
}
