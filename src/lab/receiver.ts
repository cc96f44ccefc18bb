// What a lab host decides in a session: the host's behaviour first, then what the magic addresses ask for.
//
// A transaction: MAIL (host, then sender's word) → RCPT (host, then plan) → DATA (host, then plans) → content, which
// goes to the inbox unless a plan says otherwise. Invariant: what got no 2xx reply is in the inbox only for the plan
// `eom-after-accept`, which is about exactly that.

import {
  type ContentAcceptance,
  type ContentSink,
  type MailParameters,
  type MaybePromise,
  type RcptParameters,
  type SmtpPath,
  type SmtpReply,
  type SmtpSessionFacts,
  type SmtpSessionHandler,
  smtpReply,
} from '../protocol/smtp/index.ts'
import type { Attempts } from './attempts.ts'
import type { LabBehaviour } from './behaviour.ts'
import type { LabClock } from './clock.ts'
import type { Inbox, InboxRecipient } from './inbox.ts'
import { type DropStage, type RecipientPlan, type ReplyStage, recipientPlan, senderReply } from './magic.ts'

/** What a host counts. */
export interface LabCounters {
  connections: number
  /** Contents confirmed. */
  messages: number
  /** Recipients of these. */
  recipients: number
  /** Bytes of these contents. */
  bytes: number
}

/** The host as its sessions see it. */
export interface ReceivingHost {
  readonly name: string
  readonly behaviour: LabBehaviour
  readonly counters: LabCounters
}

/** What a session may do to its connection. */
export interface ConnectionControl {
  /** Cuts it without a word. */
  cut(): void
  /** Replies a byte at a time from now on; false where that is not possible (TLS). */
  slowDown(bytePauseMs: number): boolean
}

/** The parts of the lab that all receivers share. */
export interface ReceiverParts {
  readonly clock: LabClock
  readonly attempts: Attempts
  readonly inbox: Inbox
}

interface Transaction {
  readonly reversePath: string
  readonly parameters: MailParameters
  readonly recipients: InboxRecipient[]
  readonly plans: { readonly key: string; readonly plan: RecipientPlan }[]
}

const senderOk = smtpReply(250, '2.1.0', 'Sender OK')
const recipientOk = smtpReply(250, '2.1.5', 'Recipient OK')
/** About as long as a short reply takes a byte at a time. */
const tarpitBytes = 40

const addressText = ({ localPart, domain }: SmtpPath): string =>
  domain === '' ? localPart : `${localPart}@${domain}`
const never = <T>(): Promise<T> => new Promise<T>(() => {})

/** The handler of one session. */
export class LabReceiver implements SmtpSessionHandler {
  readonly #host: ReceivingHost
  readonly #parts: ReceiverParts
  readonly #connection: ConnectionControl
  #session: SmtpSessionFacts | null = null
  #transaction: Transaction | null = null
  #isTarpitted = false

  constructor(host: ReceivingHost, parts: ReceiverParts, connection: ConnectionControl) {
    this.#host = host
    this.#parts = parts
    this.#connection = connection
  }

  open(session: SmtpSessionFacts): MaybePromise<SmtpReply | null> {
    this.#session = session
    const { greeting, delayMs } = this.#host.behaviour
    return this.#after(delayMs, greeting)
  }

  authenticate(): SmtpReply {
    return smtpReply(502, '5.5.1', 'The lab knows no AUTH')
  }

  mail(reversePath: SmtpPath, parameters: MailParameters): MaybePromise<SmtpReply> {
    const { behaviour } = this.#host
    const refusal = behaviour.mail ?? senderReply(reversePath.localPart) ?? this.#notOffered(parameters)
    if (refusal === null)
      this.#transaction = {
        reversePath: addressText(reversePath),
        parameters,
        recipients: [],
        plans: [],
      }
    return this.#after(behaviour.delayMs, refusal ?? senderOk)
  }

  /** The engine knows every parameter; a host that withholds the keyword must not take it. */
  #notOffered({ body, isSmtpUtf8 }: MailParameters): SmtpReply | null {
    const { withholds } = this.#host.behaviour
    const used = [body === '8bitmime' ? '8BITMIME' : '', isSmtpUtf8 ? 'SMTPUTF8' : '']
    const missing = used.find(keyword => withholds.includes(keyword))
    return missing === undefined ? null : smtpReply(555, '5.5.4', `${missing} was not offered`)
  }

  rcpt(forwardPath: SmtpPath, parameters: RcptParameters): MaybePromise<SmtpReply> {
    const { behaviour } = this.#host
    const transaction = this.#transaction
    if (transaction === null) return smtpReply(503, '5.5.1', 'Send MAIL first')
    if (behaviour.rcpt !== null) return this.#after(behaviour.delayMs, behaviour.rcpt)
    const plan = recipientPlan(forwardPath.localPart)
    const address = addressText(forwardPath)
    const key = this.#keyOf(transaction, address)
    const refusal = this.#rcptRefusal(plan, key)
    if (refusal === 'cut') return this.#cut()
    const planMs = plan.kind === 'slow' && plan.at === 'rcpt' ? plan.delayMs : 0
    const delayMs = behaviour.delayMs + planMs + this.#tarpitMs(plan)
    if (refusal !== null) return this.#after(delayMs, refusal)
    transaction.recipients.push({ forwardPath: address, parameters })
    if (plan.kind !== 'accept') transaction.plans.push({ key, plan })
    return this.#after(delayMs, recipientOk)
  }

  #keyOf({ reversePath, parameters }: Transaction, address: string): string {
    return `${address} ${reversePath} ${parameters.envelopeId ?? parameters.sizeBytes ?? ''}`
  }

  #rcptRefusal(plan: RecipientPlan, key: string): SmtpReply | 'cut' | null {
    const { attempts, clock } = this.#parts
    switch (plan.kind) {
      case 'reply':
        return plan.at === 'rcpt' && attempts.shouldFail(key, plan.times) ? plan.reply : null
      case 'drop':
        return plan.at === 'rcpt' && attempts.shouldFail(`drop ${key}`, plan.times) ? 'cut' : null
      case 'greylist': {
        const seenKey = `${this.#session?.clientAddress} ${key}`
        const nowMs = clock.monotonicMs()
        return nowMs - attempts.firstSeenMs(seenKey, nowMs) < plan.waitMs ? plan.reply : null
      }
      default:
        return null
    }
  }

  #tarpitMs(plan: RecipientPlan): number {
    if (plan.kind !== 'tarpit' || this.#isTarpitted) return 0
    this.#isTarpitted = true
    return this.#connection.slowDown(plan.bytePauseMs) ? 0 : plan.bytePauseMs * tarpitBytes
  }

  content(): MaybePromise<ContentAcceptance | SmtpReply> {
    const { behaviour } = this.#host
    const transaction = this.#transaction
    if (transaction === null) return smtpReply(503, '5.5.1', 'Send MAIL first')
    if (this.#shouldDrop('data')) return this.#cut()
    const refusal = behaviour.data ?? this.#planned('data')
    return this.#after(this.#slowMs('data'), refusal ?? { sink: this.#sink(transaction), bareLf: 'refuse' })
  }

  #sink(transaction: Transaction): ContentSink {
    const chunks: Buffer[] = []
    return {
      write: chunk => {
        if (transaction.plans.length > 0 && this.#shouldDrop('body')) return this.#cut()
        chunks.push(chunk)
        return undefined
      },
      end: () => this.#arrived(transaction, chunks),
      abort: () => void chunks.splice(0),
    }
  }

  #arrived(transaction: Transaction, chunks: readonly Buffer[]): MaybePromise<SmtpReply> {
    const { behaviour } = this.#host
    if (this.#shouldDrop('eom-before-reply')) return this.#cut()
    const refusal = behaviour.content ?? this.#planned('content')
    const delayMs = behaviour.delayMs + this.#slowMs('content')
    if (refusal !== null) return this.#after(delayMs, refusal)
    const shouldCut = this.#shouldDrop('eom-after-accept')
    const isLast = this.#shouldDrop('after-reply')
    // Copied together: a chunk may be a small slice of a large block of memory.
    const id = this.#keep(transaction, Buffer.concat(chunks))
    if (shouldCut) return this.#cut()
    return this.#after(delayMs, smtpReply(250, '2.0.0', `Kept as ${id}`, isLast))
  }

  #keep({ reversePath, parameters, recipients }: Transaction, content: Buffer): string {
    const { inbox, clock } = this.#parts
    const { counters, name } = this.#host
    counters.messages++
    counters.recipients += recipients.length
    counters.bytes += content.length
    const session = this.#session
    const entry = inbox.add({
      receivedAtMs: clock.nowMs(),
      host: name,
      reversePath,
      mailParameters: parameters,
      recipients,
      tls: session?.tls ?? null,
      client: {
        address: session?.clientAddress ?? '',
        port: session?.clientPort ?? 0,
        helloName: session?.helloName ?? '',
      },
      content,
    })
    return entry.id
  }

  reset(): void {
    this.#transaction = null
  }

  closed(): void {
    this.#transaction = null
  }

  // ---- plans of the transaction ----------------------------------------------------------------------------------

  #planned(at: ReplyStage): SmtpReply | null {
    for (const { key, plan } of this.#transaction?.plans ?? []) {
      if (plan.kind !== 'reply' || plan.at !== at) continue
      if (this.#parts.attempts.shouldFail(`${at} ${key}`, plan.times)) return plan.reply
    }
    return null
  }

  #shouldDrop(at: DropStage): boolean {
    for (const { key, plan } of this.#transaction?.plans ?? []) {
      if (plan.kind !== 'drop' || plan.at !== at) continue
      if (this.#parts.attempts.shouldFail(`drop ${key}`, plan.times)) return true
    }
    return false
  }

  #slowMs(at: ReplyStage): number {
    let delayMs = 0
    for (const { plan } of this.#transaction?.plans ?? [])
      if (plan.kind === 'slow' && plan.at === at) delayMs = Math.max(delayMs, plan.delayMs)
    return delayMs
  }

  #cut<T>(): Promise<T> {
    this.#connection.cut()
    // No reply will ever come: the engine lets go of the promise with the connection.
    return never<T>()
  }

  #after<T>(delayMs: number, value: T): MaybePromise<T> {
    return delayMs === 0 ? value : this.#parts.clock.sleep(delayMs).then(() => value)
  }
}
