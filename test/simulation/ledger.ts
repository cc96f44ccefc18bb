// The ledger of a simulation: what was accepted, what the event log says became of it, what the peers saw; and the rules
// between the three.
//
// It believes the event log only, as any outsider would: it is read after every commit, and after a crash first of all.
// A broken rule throws; the simulation prints the seed.

import type { ClockJump } from '../../src/base/index.ts'
import type { EventReader, OutcomeFacts, StoredEvent } from '../../src/events/index.ts'
import { unpackAccepted, unpackOutcomeFacts } from '../../src/events/index.ts'
import type { GiveBack, LeasedMessage, NewMessage, WaitReason } from '../../src/queue/index.ts'
import { retryJitterMax } from '../../src/queue/ready/index.ts'
import { type Entry, fail } from './entry.ts'
import { Reports } from './reports.ts'

export interface LedgerRules {
  readonly intervalsMs: readonly number[]
  /** An attempt may begin this long after the expiry: grace, and the time of one step. */
  readonly lateMs: number
  readonly delayNoticeAfterMs: number
  /** False: there is no such domain, and mail for it is to bounce. */
  hasHosts(path: string): boolean
  /** The first transaction for it begins. */
  onFirstAttempt(entry: Entry): void
}

/** Events that are read at once. */
const eventsMax = 500
/** Stages at which no host took a connection. */
const unreachableStages: ReadonlySet<string> = new Set(['connect', 'greeting', 'ehlo', 'starttls', 'auth'])

export class Ledger {
  readonly #rules: LedgerRules
  readonly #nowMs: () => number
  readonly #monotonicMs: () => number
  readonly #entries = new Map<string, Entry>()
  /** By `message id|path`, as peers see them. */
  readonly #byName = new Map<string, Entry>()
  /** Messages on their way into the store: what the accepted event will be held against. */
  readonly #expected = new Map<string, NewMessage>()
  readonly #reports = new Reports()
  #lastSeq = 0
  /** An operator is expiring what this account has waiting. */
  expiringAccount: number | null = null
  readonly counts: Record<string, number> = {
    accepted: 0,
    delivered: 0,
    deferred: 0,
    bounced: 0,
    expired: 0,
    reports: 0,
    attempts: 0,
    repeated: 0,
  }

  constructor(rules: LedgerRules, nowMs: () => number, monotonicMs: () => number) {
    this.#rules = rules
    this.#nowMs = nowMs
    this.#monotonicMs = monotonicMs
  }

  /** Entries that are not final, by `message id.number`. */
  get open(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  get openCount(): number {
    return this.#entries.size
  }

  get lastSeq(): number {
    return this.#lastSeq
  }

  // ---- what is asked of the store ----------------------------------------------------------------------------------

  /** A message is about to be accepted: by the door, or as a report of a settlement. */
  expects(message: NewMessage): void {
    this.#expected.set(message.id.toString('hex'), message)
  }

  /** An accept was answered: the event must be there. */
  acknowledged(message: NewMessage): void {
    if (this.#expected.has(message.id.toString('hex'))) fail(`an acknowledged message has no accepted event`)
  }

  leased(thread: number, messages: readonly LeasedMessage[]): void {
    for (const message of messages)
      for (const one of message.recipients) {
        const entry = this.#entries.get(idOf(message.id, one.number))
        if (entry === undefined) fail(`a recipient was leased that is final or never was: ${one.forwardPath}`)
        if (entry.owner !== null) fail(`${entry.path} was leased by ${thread} while ${entry.owner} has it`)
        if (entry.state === 'held') fail(`${entry.path} was leased while it is held`)
        if (entry.nextAttemptAtMs > this.#nowMs()) fail(`${entry.path} was leased before its time`)
        if (one.attempts !== entry.attempts)
          fail(`${entry.path} was leased with ${one.attempts} attempts, not ${entry.attempts}`)
        entry.owner = thread
        entry.sinceMs = this.#monotonicMs()
      }
  }

  gaveBack(thread: number, giveBacks: readonly GiveBack[], idOfKey: (key: number) => string): void {
    for (const { messageKey, recipientNumber, nextAttemptAtMs, reason } of giveBacks) {
      const entry = this.#entries.get(`${idOfKey(messageKey)}.${recipientNumber}`)
      if (entry === undefined) continue
      if (entry.owner !== thread) fail(`${entry.path} was given back by ${thread}, which does not have it`)
      this.#waits(entry, nextAttemptAtMs, reason)
    }
  }

  /** The process is gone: all that was leased is free again from now on. */
  recovered(): void {
    for (const entry of this.#entries.values()) {
      entry.running = 0
      // The answer has died with who heard it.
      entry.isRefused = false
      if (entry.owner === null) continue
      this.#waits(entry, this.#nowMs(), entry.attempts === 0 ? 'first-attempt' : 'next-attempt')
    }
    // What was not acknowledged may be there or not; events have been read, so it is not.
    this.#expected.clear()
  }

  /** The wall clock was set: waits keep their length, lives do not become shorter. */
  clockJumped({ beforeMs, nowMs, byMs }: ClockJump): void {
    for (const entry of this.#entries.values()) {
      if (byMs > 0) entry.expiresAtMs += byMs
      // What a thread has in hand ends by its own clock, which did not jump.
      else entry.earlierMs -= byMs
      if (entry.owner !== null || entry.state === 'held') continue
      const { nextAttemptAtMs } = entry
      if (byMs < 0 && nextAttemptAtMs > nowMs) entry.nextAttemptAtMs = Math.max(nowMs, nextAttemptAtMs + byMs)
      else if (byMs > 0 && nextAttemptAtMs > beforeMs && nextAttemptAtMs < beforeMs + byMs)
        entry.nextAttemptAtMs += byMs
    }
  }

  /** The clock was set back while nobody ran, and the store noticed at its start. */
  startedBehind(byMs: number): void {
    if (byMs > 0) this.clockJumped({ beforeMs: this.#nowMs() + byMs, nowMs: this.#nowMs(), byMs: -byMs })
  }

  #waits(entry: Entry, nextAttemptAtMs: number, reason: WaitReason): void {
    entry.owner = null
    entry.state = 'scheduled'
    entry.nextAttemptAtMs = nextAttemptAtMs
    entry.reason = reason
    entry.sinceMs = this.#monotonicMs()
  }

  // ---- what peers see ----------------------------------------------------------------------------------------------

  began(thread: number, names: readonly string[]): void {
    for (const name of names) {
      this.counts['attempts']!++
      const entry = this.#named(name)
      if (entry.owner !== thread) fail(`${entry.path} is sent by thread ${thread}, which does not have it`)
      if (++entry.running > 1) fail(`${entry.path} is in two transactions at once`)
      const lateMs = this.#nowMs() - entry.expiresAtMs
      if (lateMs > this.#rules.lateMs) fail(`${entry.path} is tried ${lateMs} ms after its expiry`)
      if (entry.firstAttemptMs !== null) continue
      entry.firstAttemptMs = this.#monotonicMs()
      if (entry.attempts === 0) this.#rules.onFirstAttempt(entry)
    }
  }

  ended(names: readonly string[]): void {
    for (const name of names) this.#named(name).running--
  }

  refused(name: string): void {
    this.#named(name).isRefused = true
  }

  took(name: string): void {
    const entry = this.#named(name)
    if (++entry.taken > 1) this.counts['repeated']!++
  }

  #named(name: string): Entry {
    return this.#byName.get(name) ?? fail(`something is done for ${name}, which is final or never was`)
  }

  // ---- what the log says -------------------------------------------------------------------------------------------

  /** Reads all that has been committed since the last look. */
  read(log: EventReader): void {
    for (let read = eventsMax; read === eventsMax; ) {
      const events = log.list(this.#lastSeq, eventsMax)
      for (const event of events) {
        if (event.seq <= this.#lastSeq) fail('the log goes back')
        this.#lastSeq = event.seq
        this.#readOne(event)
      }
      read = events.length
    }
    this.#reports.check()
  }

  #readOne(event: StoredEvent): void {
    const id = event.messageId!.toString('hex')
    switch (event.type) {
      case 'accepted':
        this.#accepted(id, event)
        return
      case 'delivered':
      case 'deferred':
      case 'bounced':
      case 'expired':
        this.#outcome(this.#known(id, event), event)
        return
      case 'held':
        Object.assign(this.#waiting(id, event), { state: 'held', reason: 'held-by-operator' })
        return
      case 'released':
        Object.assign(this.#known(id, event), {
          state: 'scheduled',
          reason: 'released',
          nextAttemptAtMs: event.atMs,
        })
        return
      case 'retried':
        Object.assign(this.#waiting(id, event), { reason: 'retry-requested', nextAttemptAtMs: event.atMs })
        return
      default:
        fail(`an event of type ${event.type} was not to be`)
    }
  }

  #known(id: string, event: StoredEvent): Entry {
    const entry = this.#entries.get(`${id}.${event.recipientNumber}`)
    return entry ?? fail(`${event.type} of a recipient that is final or never was`)
  }

  #waiting(id: string, event: StoredEvent): Entry {
    const entry = this.#known(id, event)
    if (entry.owner !== null) fail(`${event.type} of ${entry.path}, which a thread has`)
    entry.sinceMs = this.#monotonicMs()
    return entry
  }

  #accepted(id: string, event: StoredEvent): void {
    const message = this.#expected.get(id)
    if (message === undefined) fail('a message was accepted that nobody handed in')
    this.#expected.delete(id)
    const facts = unpackAccepted(event.facts)
    const isReport = facts.door === 'local'
    this.counts[isReport ? 'reports' : 'accepted']!++
    if (isReport) this.#reports.made(message)
    for (const { number, forwardPath, notify } of message.recipients) {
      const entry: Entry = {
        id: `${id}.${number}`,
        path: forwardPath,
        accountKey: message.accountKey,
        priority: message.priority,
        isReport,
        sender: message.sendsDsn && message.reversePath !== '' ? message.reversePath : null,
        notify,
        acceptedAtMs: message.acceptedAtMs,
        expiresAtMs: message.expiresAtMs,
        earlierMs: 0,
        attempts: 0,
        state: 'scheduled',
        nextAttemptAtMs: message.firstAttemptAtMs,
        reason: message.startReason ?? 'first-attempt',
        isDropped: false,
        owner: null,
        running: 0,
        final: null,
        isRefused: false,
        isDelayNotified: false,
        taken: 0,
        wasUncertain: false,
        sinceMs: this.#monotonicMs(),
        firstAttemptMs: null,
        acceptedMs: this.#monotonicMs(),
      }
      this.#entries.set(entry.id, entry)
      this.#byName.set(`${id}|${forwardPath}`, entry)
    }
  }

  /** A message accepted as leased belongs to the thread that accepted it. */
  acceptedBy(thread: number, message: NewMessage): void {
    for (const { number } of message.recipients) {
      const entry = this.#entries.get(idOf(message.id, number))
      if (entry !== undefined && message.startState === 'leased') entry.owner = thread
    }
  }

  #outcome(entry: Entry, event: StoredEvent): void {
    const { outcome, attempt, nextAttemptAtMs, forwardPath } = unpackOutcomeFacts(event.facts)
    if (forwardPath !== entry.path) fail(`an event of ${entry.path} speaks of ${forwardPath}`)
    this.counts[event.type]!++
    entry.wasUncertain ||= outcome.isUncertain
    if (event.type === 'expired' && entry.owner === null) {
      if (entry.accountKey !== this.expiringAccount) fail(`${entry.path} expired in nobody’s hands`)
      this.#final(entry, outcome)
      return
    }
    if (entry.owner === null) fail(`${event.type} of ${entry.path}, which nobody has`)
    if (attempt !== 0 && attempt !== entry.attempts + 1)
      fail(`${entry.path}: attempt ${attempt} after ${entry.attempts}`)
    this.#checkRefusal(entry, event.type)
    if (event.type === 'bounced' || event.type === 'expired') this.#reports.owes(entry, 'failed')
    if (event.type !== 'deferred') {
      this.#final(entry, outcome)
      return
    }
    entry.attempts++
    this.#delayed(entry, outcome.atMs)
    this.#checkSchedule(entry, event.atMs, nextAttemptAtMs)
    const isUnreachable = unreachableStages.has(outcome.stage)
    entry.isDropped = outcome.source === 'local' && outcome.stage === 'mail'
    this.#waits(entry, nextAttemptAtMs, isUnreachable ? 'site-unreachable' : 'next-attempt')
  }

  /** Mail bounces when somebody has refused it for good, and only then. */
  #checkRefusal(entry: Entry, type: StoredEvent['type']): void {
    const hasHosts = this.#rules.hasHosts(entry.path)
    if (type === 'bounced' && !entry.isRefused && hasHosts)
      fail(`${entry.path} bounced, and nobody refused it for good`)
    if ((entry.isRefused && type !== 'bounced') || (!hasHosts && type === 'deferred'))
      fail(`${entry.path} was refused for good and is ${type}`)
  }

  #delayed(entry: Entry, atMs: number): void {
    if (entry.isDelayNotified || atMs - entry.acceptedAtMs < this.#rules.delayNoticeAfterMs) return
    entry.isDelayNotified = true
    this.#reports.owes(entry, 'delayed')
  }

  #checkSchedule(entry: Entry, atMs: number, nextAttemptAtMs: number): void {
    const { intervalsMs } = this.#rules
    const intervalMs = intervalsMs[Math.min(entry.attempts, intervalsMs.length) - 1]!
    const least = Math.min(
      atMs + intervalMs * (1 - retryJitterMax) - 1,
      entry.expiresAtMs - entry.earlierMs - 1,
    )
    const most = Math.min(atMs + intervalMs * (1 + retryJitterMax) + 1, entry.expiresAtMs + 1)
    if (nextAttemptAtMs < least || nextAttemptAtMs > most)
      fail(
        `${entry.path}: attempt ${entry.attempts + 1} is planned ${nextAttemptAtMs - atMs} ms ahead, the interval is ${intervalMs}`,
      )
  }

  #final(entry: Entry, outcome: OutcomeFacts['outcome']): void {
    const { kind } = outcome
    if (kind === 'delivered' && entry.taken === 0)
      fail(`${entry.path} counts as delivered, and no peer took it`)
    if (entry.taken > (kind === 'delivered' ? 1 : 0) && !entry.wasUncertain)
      fail(
        `${entry.path} was taken ${entry.taken} times and ends as ${kind}, and no outcome says that it may have been`,
      )
    if (
      kind === 'expired' &&
      entry.accountKey !== this.expiringAccount &&
      this.#nowMs() < entry.expiresAtMs - entry.earlierMs - 1
    )
      fail(`${entry.path} expired ${entry.expiresAtMs - this.#nowMs()} ms early`)
    entry.final = kind
    this.#entries.delete(entry.id)
    this.#byName.delete(`${entry.id.slice(0, entry.id.indexOf('.'))}|${entry.path}`)
  }
}

const idOf = (messageId: Buffer, number: number): string => `${messageId.toString('hex')}.${number}`
