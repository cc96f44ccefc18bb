// One transaction on the wire: writes its commands in as few groups as the peer allows and sorts the replies.
//
// Plan (the reply stage decides what is next; modes differ in what was already written):
// 1. `lockstep`: MAIL, each RCPT and DATA (or BDAT) one by one, for peers without PIPELINING.
// 2. `grouped`: MAIL, all RCPT and DATA in one write; with CHUNKING the BDAT chunk follows once a recipient was accepted.
// 3. `single`: MAIL, all RCPT and the only BDAT chunk in one write, for small content, unless the caller is cautious. When
//    nobody is accepted the peer swallows the octets (RFC 3030 §4.1), so this is safe.
// 4. Content goes out after 354, or a lone dot when nobody was accepted. Then the last reply settles every recipient.
// Invariants: each recipient gets exactly one result; `isUncertain` only after the end of data left without a reply.

import { replyClass, type SmtpReply } from '../reply.ts'
import { sendBlocks } from './content-blocks.ts'
import type { ContentPlan } from './content-plan.ts'
import type { EnvelopeCommands } from './envelope.ts'
import type { Exchange } from './exchange.ts'
import type { ClientTimeouts } from './options.ts'
import type {
  RecipientResult,
  SmtpTransaction,
  TransactionFailure,
  TransactionResult,
  TransactionStage,
} from './transaction-types.ts'
import type { ConnectionEnd, SmtpWire } from './wire.ts'

/** How much of a transaction goes out at once. */
export type FlightMode = 'lockstep' | 'grouped' | 'single'

/** Everything a run needs; made by `planTransaction`. */
export interface TransactionPlan {
  readonly transaction: SmtpTransaction
  readonly envelope: EnvelopeCommands
  readonly content: Exclude<ContentPlan, { kind: 'refused' }>
  readonly mode: FlightMode
  readonly isChunked: boolean
  readonly blockBytes: number
}

const deadlines: Readonly<Record<TransactionStage, keyof ClientTimeouts>> = {
  mail: 'mailMs',
  rcpt: 'rcptMs',
  data: 'dataMs',
  content: 'blockMs',
  eom: 'eomMs',
}

/** Replies that make sense at each stage; others show that the peer and we disagree about where we are. */
const isAnswer: Readonly<Record<TransactionStage, (reply: SmtpReply) => boolean>> = {
  mail: reply => replyClass(reply) !== 3,
  rcpt: reply => replyClass(reply) !== 3,
  data: reply => reply.code === 354 || replyClass(reply) >= 4,
  content: reply => replyClass(reply) >= 4,
  eom: reply => replyClass(reply) !== 3,
}

/** `code` of the end of a connection on which commands that left with the end of a content were lost by the peer. */
export const groupLost = 'GROUPED_MAIL_LOST'

/** What a peer says to the rest of commands whose beginning it has lost: unknown, not implemented, bad sequence. */
const outOfStep = new Set([500, 502, 503])

/** A transaction from its first command to its last reply. */
export class TransactionRun implements Exchange {
  readonly result: Promise<TransactionResult>
  readonly #resolve: (result: TransactionResult) => void
  readonly #plan: TransactionPlan
  readonly #wire: SmtpWire
  readonly #timeouts: ClientTimeouts
  readonly #onEndOfData: () => void
  readonly #rcptReplies: SmtpReply[] = []
  #stage: TransactionStage = 'mail'
  #mailRefusal: SmtpReply | null = null
  #acceptedCount = 0
  #isEndSent = false
  #isLoneDot = false
  #isGrouped = false
  /** The peer has said more than was asked. Nothing is written any more; a 421 still counts, which the session reads. */
  #isEarly = false
  #isDone = false
  #leavesTransactionOpen = false

  /** `onEndOfData` tells that the end of a content sent in blocks is out. */
  constructor(plan: TransactionPlan, wire: SmtpWire, timeouts: ClientTimeouts, onEndOfData: () => void) {
    this.#plan = plan
    this.#wire = wire
    this.#timeouts = timeouts
    this.#onEndOfData = onEndOfData
    const { promise, resolve } = Promise.withResolvers<TransactionResult>()
    this.result = promise
    this.#resolve = resolve
  }

  get stage(): TransactionStage {
    return this.#stage
  }

  get timeoutMs(): number {
    return this.#timeouts[deadlines[this.#stage]]
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** True when the peer needs RSET before another MAIL. */
  get leavesTransactionOpen(): boolean {
    return this.#leavesTransactionOpen
  }

  /** True when the next group of commands may follow (RFC 2920 §3.1): the transaction ends whatever the last reply is. */
  get awaitsLastReplyOnly(): boolean {
    return this.#stage === 'eom' && this.#acceptedCount > 0
  }

  /** True while nothing tells that the peer has read what left with the end of another content, and none of this one left. */
  get mayBeLost(): boolean {
    return this.#isGrouped && this.#stage === 'mail' && !this.#isEndSent
  }

  /** Writes the first group; `prefix` is RSET or ''. `isGrouped`: behind a content that is not answered yet. */
  start(prefix: string, isGrouped: boolean): void {
    this.#isGrouped = isGrouped
    const { envelope, mode, isChunked } = this.#plan
    if (mode === 'lockstep') {
      this.#write(prefix + envelope.commands[0]!)
      return
    }
    const commands = prefix + envelope.commands.join('')
    if (mode === 'single') {
      this.#writeWhole(commands)
      return
    }
    this.#write(isChunked ? commands : `${commands}DATA\r\n`)
  }

  onReply(reply: SmtpReply): void {
    if (this.#isEarly) {
      const message = `the peer sent ${reply.code} in stage ${this.#stage} before it was asked`
      this.#wire.finish({ kind: 'protocol', code: 'EARLY_REPLY', message })
      return
    }
    if (isAnswer[this.#stage](reply)) {
      TransactionRun.#steps[this.#stage](this, reply)
      return
    }
    const message = `the peer answered ${reply.code} in stage ${this.#stage}, which is not an answer there`
    this.#wire.finish({ kind: 'protocol', code: 'UNEXPECTED_REPLY', message })
  }

  onEnd(end: ConnectionEnd): void {
    this.#settle({ kind: end.kind, code: end.code, message: end.message }, end.reply ?? null)
  }

  /** Does the caller still want it? */
  get mayStart(): boolean {
    return this.#plan.transaction.mayStart?.() ?? true
  }

  /** Settles a run of which nothing was written. */
  neverStarted({ code, message }: Pick<ConnectionEnd, 'code' | 'message'>): void {
    this.#settle({ kind: 'not-started', code, message: `not sent: ${message}` }, null)
  }

  static readonly #steps: Readonly<
    Record<TransactionStage, (run: TransactionRun, reply: SmtpReply) => void>
  > = {
    mail: (run, reply) => run.#onMail(reply),
    rcpt: (run, reply) => run.#onRcpt(reply),
    data: (run, reply) => run.#onData(reply),
    content: (run, reply) => run.#onReplyInContent(reply),
    eom: (run, reply) => run.#onEom(reply),
  }

  #onMail(reply: SmtpReply): void {
    if (this.mayBeLost && outOfStep.has(reply.code)) {
      const message = `the peer answered ${reply.code} to MAIL that came together with the end of a content`
      // Without its reply: that is none to MAIL.
      this.#wire.finish({ kind: 'protocol', code: groupLost, message })
      return
    }
    this.#stage = 'rcpt'
    if (replyClass(reply) !== 2) {
      this.#mailRefusal = reply
      if (this.#plan.mode === 'lockstep') {
        this.#settle(null, null)
        return
      }
    } else if (this.#plan.mode === 'lockstep' && this.#isQuiet()) {
      this.#write(this.#plan.envelope.commands[1]!)
    }
  }

  #onRcpt(reply: SmtpReply): void {
    const { envelope, mode, isChunked } = this.#plan
    this.#rcptReplies.push(reply)
    if (replyClass(reply) === 2 && this.#mailRefusal === null) this.#acceptedCount++
    const nextCommand = envelope.commands[this.#rcptReplies.length + 1]
    if (nextCommand !== undefined) {
      if (mode === 'lockstep' && this.#isQuiet()) this.#write(nextCommand)
      return
    }
    const isContentDue = mode === 'lockstep' || (mode === 'grouped' && isChunked)
    if (isContentDue && this.#acceptedCount === 0) {
      this.#settleOpen()
      return
    }
    if (mode === 'single') this.#stage = 'eom'
    else if (isChunked) this.#sendContent()
    else {
      this.#stage = 'data'
      if (mode === 'lockstep' && this.#isQuiet()) this.#write('DATA\r\n')
    }
  }

  #onData(reply: SmtpReply): void {
    if (replyClass(reply) >= 4) {
      this.#settleOpen(reply)
      return
    }
    if (this.#acceptedCount > 0) {
      this.#sendContent()
      return
    }
    if (!this.#isQuiet()) return
    this.#isLoneDot = true
    this.#stage = 'eom'
    this.#write('.\r\n')
  }

  #onReplyInContent(reply: SmtpReply): void {
    const message = `the peer refused the content while it was being sent: ${reply.code} ${reply.lines[0]}`
    this.#wire.finish({ kind: 'content', code: 'REFUSED_WHILE_SENDING', message, reply })
  }

  #onEom(reply: SmtpReply): void {
    if (this.#acceptedCount === 0 && !this.#isLoneDot) {
      this.#settleOpen(reply)
      return
    }
    this.#settle(null, reply)
  }

  /** At least one recipient was accepted: the content may go. */
  #sendContent(): void {
    const { content, isChunked } = this.#plan
    if (!this.#isQuiet()) return
    if (content.kind === 'whole') {
      this.#stage = 'eom'
      this.#writeWhole('')
      return
    }
    this.#stage = 'content'
    if (isChunked) {
      if (content.sizeBytes === 0) this.#endOfDataLeaves()
      this.#write(`BDAT ${content.sizeBytes} LAST\r\n`)
    }
    void this.#sendBlocks()
  }

  async #sendBlocks(): Promise<void> {
    const { content, blockBytes, isChunked } = this.#plan
    if (content.kind !== 'blocks') return
    const end = await sendBlocks({
      ...content,
      blockBytes,
      isDotStuffed: !isChunked,
      wire: this.#wire,
      isWanted: () => !this.#isDone,
      // With the end of data the stage is `eom`, and the time for the reply to it begins.
      onProgress: () => this.#wire.armSending(this.#stage, this.#timeouts.blockMs, this.timeoutMs),
      onEndOfData: () => this.#endOfDataLeaves(),
    })
    if (end !== null) this.#wire.finish(end)
    else if (!this.#isDone) this.#onEndOfData()
  }

  /** Writes the content with the commands before it and the final dot in one piece. */
  #writeWhole(commands: string): void {
    const { content, isChunked, envelope } = this.#plan
    if (content.kind !== 'whole') return
    const head = isChunked ? `${commands}BDAT ${content.sizeBytes} LAST\r\n` : commands
    const tail = isChunked ? '' : '.\r\n'
    const encoding = envelope.isUtf8 ? 'utf8' : 'latin1'
    if (this.#stage === 'eom') this.#endOfDataLeaves()
    else this.#markEnd()
    if (head !== '') this.#wire.write(head, encoding)
    for (const buffer of content.buffers) this.#wire.writeBytes(buffer)
    if (tail !== '') this.#wire.write(tail, 'latin1')
  }

  /** False when bytes of the peer wait to be read: they would be taken for the answer to what is written next. */
  #isQuiet(): boolean {
    this.#isEarly = this.#wire.bytesAhead > 0
    return !this.#isEarly
  }

  #endOfDataLeaves(): void {
    this.#stage = 'eom'
    this.#markEnd()
  }

  /** A `beforeEnd` that fails stops the end of data: the wire takes no more bytes once it is finished. */
  #markEnd(): void {
    try {
      this.#plan.transaction.beforeEnd?.()
      this.#isEndSent = true
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const message = `the end of data was held back because it could not be noted: ${why}`
      this.#wire.finish({ kind: 'content', code: 'BEFORE_END_FAILED', message })
    }
  }

  #write(commands: string): void {
    this.#wire.write(commands, this.#plan.envelope.isUtf8 ? 'utf8' : 'latin1')
  }

  #settleOpen(reply: SmtpReply | null = null): void {
    this.#leavesTransactionOpen = true
    this.#settle(null, reply)
  }

  /** Gives every recipient its result; `reply` is for those who have no refusal of their own. */
  #settle(failure: TransactionFailure | null, reply: SmtpReply | null): void {
    if (this.#isDone) return
    this.#isDone = true
    const isComplete = failure === null && this.#stage === 'eom' && reply !== null
    const common: RecipientResult = {
      stage: this.#stage,
      reply,
      isAccepted: isComplete && replyClass(reply) === 2,
      isUncertain: this.#isEndSent && reply === null,
    }
    const recipients = this.#plan.transaction.recipients.map((_, index) => {
      if (this.#mailRefusal !== null) return refused('mail', this.#mailRefusal)
      const own = this.#rcptReplies[index]
      return own === undefined || replyClass(own) === 2 ? common : refused('rcpt', own)
    })
    this.#resolve({ recipients, isEndOfDataSent: this.#isEndSent, failure })
  }
}

function refused(stage: TransactionStage, reply: SmtpReply): RecipientResult {
  return { stage, reply, isAccepted: false, isUncertain: false }
}
