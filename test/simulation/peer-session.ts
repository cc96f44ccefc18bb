// A session with a simulated site, at the seam where delivery opens sessions: outcomes as values, delays in virtual time.
//
// One transaction runs at a time, others wait in the session as in the real client. A transaction has two steps: the
// envelope, and the content behind which `beforeEnd` is called. A session ends once, with the transactions in it.

import type { Timers } from '../../src/base/index.ts'
import type { PeerSession, SessionResult } from '../../src/delivery/index.ts'
import type {
  ConnectFailure,
  ConnectionEnd,
  RecipientResult,
  SmtpTransaction,
  TransactionResult,
} from '../../src/protocol/smtp/client/index.ts'
import { smtpReply } from '../../src/protocol/smtp/index.ts'
import type { Site } from './site.ts'

/** Who watches what peers see. */
export interface PeerWatch {
  /** A transaction began for these recipients: `message id|path` each. */
  began(names: readonly string[]): void
  /** It is over, as far as we can know. */
  ended(names: readonly string[]): void
  /** The peer took responsibility. */
  took(name: string): void
  /** We were told that it is refused for good. */
  refused(name: string): void
}

interface Running {
  readonly transaction: SmtpTransaction
  readonly resolve: (result: TransactionResult) => void
}

/** The first field of a simulated message; its value is the message's id. */
export const idField = 'X-Simulated: '
const idStart = idField.length
const waitingMax = 3
const connectMs = 20

/** Opens a session, or says why not. */
export function openPeerSession(site: Site, timers: Timers, watch: PeerWatch): Promise<SessionResult> {
  return new Promise(resolve => {
    timers.after(connectMs + site.stepMs, () => {
      const failure = connectFailure(site)
      if (failure !== null) resolve({ ok: false, failure })
      else resolve({ ok: true, session: new SimulatedSession(site, timers, watch) })
    })
  })
}

function connectFailure({ weather }: Site): ConnectFailure | null {
  const common = { tls: null } as const
  if (weather === 'dead')
    return {
      ...common,
      stage: 'connect',
      kind: 'error',
      code: 'ECONNREFUSED',
      message: 'refused',
      reply: null,
    }
  if (weather !== 'busy') return null
  const reply = smtpReply(421, '4.3.2', 'Too busy')
  return { ...common, stage: 'greeting', kind: 'reply', code: '421', message: 'too busy', reply }
}

export class SimulatedSession implements PeerSession {
  readonly facts: PeerSession['facts']
  onIdleEnd: PeerSession['onIdleEnd'] = null
  readonly #site: Site
  readonly #timers: Timers
  readonly #watch: PeerWatch
  readonly #waiting: Running[] = []
  readonly #unwatch: () => void
  #running: Running | null = null
  #isDataSent = false
  /** Recipients of the running transaction that were not refused. */
  #accepted: readonly string[] = []
  #isQuitting = false
  #end: ConnectionEnd | null = null
  hasAnswered = false

  constructor(site: Site, timers: Timers, watch: PeerWatch) {
    this.#site = site
    this.#timers = timers
    this.#watch = watch
    this.facts = factsOf(site)
    site.open++
    site.openMost = Math.max(site.openMost, site.open)
    // A site that dies takes its sessions with it; some others close those that are idle.
    this.#unwatch = site.onChange(() => {
      if (site.weather === 'dead') this.#finish({ kind: 'error', code: 'ECONNRESET', message: 'reset' })
    })
  }

  get end(): ConnectionEnd | null {
    return this.#end
  }

  get isUsable(): boolean {
    return this.#end === null && !this.#isQuitting && this.#waiting.length < waitingMax
  }

  transact(transaction: SmtpTransaction): Promise<TransactionResult> {
    if (!this.isUsable) return Promise.resolve(notStarted(transaction))
    return new Promise(resolve => {
      this.#waiting.push({ transaction, resolve })
      this.#start()
    })
  }

  async quit(): Promise<void> {
    this.#isQuitting = true
    if (this.#running === null && this.#waiting.length === 0) this.destroy()
  }

  destroy(): void {
    this.#isQuitting = true
    this.#finish({ kind: 'finished', code: 'FINISHED', message: 'we closed the connection' })
  }

  /** The process on our side is gone: what had been sent to its end may have been taken. */
  abandon(): void {
    const running = this.#running
    if (running !== null && this.#isDataSent && this.#site.chance(0.5))
      for (const name of this.#accepted) this.#watch.took(name)
    if (running !== null) this.#watch.ended(namesOf(running.transaction))
    this.#running = null
    this.#waiting.length = 0
    this.#close({ kind: 'finished', code: 'FINISHED', message: 'killed' })
  }

  #start(): void {
    if (this.#running !== null || this.#end !== null) return
    const running = this.#waiting.shift()
    if (running === undefined) {
      if (this.#isQuitting) this.destroy()
      return
    }
    if (running.transaction.mayStart?.() === false) {
      running.resolve(notStarted(running.transaction))
      this.#start()
      return
    }
    this.#running = running
    this.#isDataSent = false
    this.#watch.began(namesOf(running.transaction))
    this.#timers.after(this.#site.stepMs, () => this.#envelope(running))
  }

  /** MAIL and RCPT have been answered. */
  #envelope(running: Running): void {
    if (this.#running !== running) return
    const { weather } = this.#site
    if (weather === 'drops-early' && this.#site.chance(0.5)) {
      this.#finish({ kind: 'closed', code: 'CLOSED', message: 'the peer closed' })
      return
    }
    if (weather === 'goodbye' && this.#site.chance(0.5)) {
      const reply = smtpReply(421, '4.3.2', 'Shutting down')
      this.#finish({ kind: 'said-goodbye', code: 'SAID_421', message: 'the peer said 421', reply })
      return
    }
    const names = namesOf(running.transaction)
    let taken = 0
    const replies = running.transaction.recipients.map(({ forwardPath }) => {
      const refusal = this.#site.refusal(forwardPath, taken)
      if (refusal === null) taken++
      return refusal
    })
    this.#accepted = names.filter((_, index) => replies[index] === null)
    if (taken > 0) {
      running.transaction.beforeEnd?.()
      this.#isDataSent = true
    }
    this.#timers.after(taken > 0 ? this.#site.stepMs : 0, () => this.#content(running, replies))
  }

  /** The end of data has been answered. */
  #content(running: Running, replies: readonly ReturnType<Site['refusal']>[]): void {
    if (this.#running !== running) return
    if (this.#isDataSent && this.#site.weather === 'drops-late' && this.#site.chance(0.5)) {
      if (this.#site.chance(0.5)) for (const name of this.#accepted) this.#watch.took(name)
      this.#finish({ kind: 'closed', code: 'CLOSED', message: 'the peer closed' }, replies)
      return
    }
    for (const name of this.#accepted) this.#watch.took(name)
    const recipients = replies.map((refusal): RecipientResult => {
      if (refusal !== null) return refused(refusal)
      return { stage: 'eom', reply: smtpReply(250, '2.0.0', 'Taken'), isAccepted: true, isUncertain: false }
    })
    this.hasAnswered = true
    this.#resolve(running, { recipients, isEndOfDataSent: this.#isDataSent, failure: null })
    this.#start()
  }

  #resolve(running: Running, result: TransactionResult): void {
    this.#running = null
    const names = namesOf(running.transaction)
    for (const [index, { reply }] of result.recipients.entries())
      if (reply !== null && reply.code >= 500) this.#watch.refused(names[index]!)
    this.#watch.ended(names)
    running.resolve(result)
  }

  /** The connection is over: what ran is lost, before or after its end of data; what waited was never started. */
  #finish(end: ConnectionEnd, replies: readonly ReturnType<Site['refusal']>[] = []): void {
    if (this.#end !== null) return
    const running = this.#running
    const isIdle = running === null
    this.#close(end)
    if (running !== null) {
      const isUncertain = this.#isDataSent
      const stage = isUncertain ? 'eom' : 'rcpt'
      const reply = end.kind === 'said-goodbye' ? (end.reply ?? null) : null
      const recipients = running.transaction.recipients.map((_, index): RecipientResult => {
        const refusal = replies[index]
        if (refusal !== undefined && refusal !== null) return refused(refusal)
        return { stage, reply, isAccepted: false, isUncertain }
      })
      const { kind, code, message } = end
      this.#resolve(running, { recipients, isEndOfDataSent: isUncertain, failure: { kind, code, message } })
    }
    for (const { transaction, resolve } of this.#waiting.splice(0)) resolve(notStarted(transaction))
    if (isIdle && !this.#isQuitting) this.onIdleEnd?.(end)
  }

  #close(end: ConnectionEnd): void {
    if (this.#end !== null) return
    this.#end = end
    this.#site.open--
    this.#unwatch()
  }
}

/** Who is meant: `message id|path`. The prefix of every simulated message names its message. */
function namesOf({ content, recipients }: SmtpTransaction): string[] {
  const id = 'parts' in content ? content.parts[0]!.toString('latin1', idStart, idStart + 32) : ''
  return recipients.map(one => `${id}|${one.forwardPath}`)
}

function refused({ code, enhanced, text }: NonNullable<ReturnType<Site['refusal']>>): RecipientResult {
  return { stage: 'rcpt', reply: smtpReply(code, enhanced, text), isAccepted: false, isUncertain: false }
}

function notStarted({ recipients }: SmtpTransaction): TransactionResult {
  return {
    recipients: recipients.map(() => ({ stage: 'mail', reply: null, isAccepted: false, isUncertain: false })),
    isEndOfDataSent: false,
    failure: { kind: 'not-started', code: 'NOT_USABLE', message: 'the session was over' },
  }
}

function factsOf({ settings }: Site): PeerSession['facts'] {
  return {
    remoteAddress: '',
    remotePort: 25,
    localAddress: '',
    localPort: 0,
    greeting: smtpReply(220, '', settings.name),
    hello: smtpReply(250, '', settings.name),
    isExtended: true,
    capabilities: {
      hasSize: false,
      sizeBytesMax: null,
      hasEightBitMime: true,
      hasSmtpUtf8: true,
      hasPipelining: true,
      hasChunking: false,
      hasDsn: true,
      hasEnhancedStatusCodes: true,
      hasStartTls: true,
      hasRequireTls: false,
      authMechanisms: [],
      rcptMax: settings.rcptMax,
      mailMax: null,
      rcptDomainMax: null,
    },
    tls: null,
    authMechanism: null,
  }
}
