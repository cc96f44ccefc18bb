// The model of the durable queue: what each open recipient's row must say after any history of operations and crashes.
//
// Rules are written here a second time, as plainly as possible: states, due times, reasons, attempts, marks. After every
// lease and every start the store must agree; so must its listing and its event log.

import assert from 'node:assert/strict'
import { clockJumpMsMin } from '../../src/base/index.ts'
import type { EventType } from '../../src/events/index.ts'
import { packOutcome } from '../../src/events/index.ts'
import type { GiveBack, LeasedMessage, NewMessage, QueueAction, WaitReason } from '../../src/queue/index.ts'
import type { QueueStep } from './queue-steps.ts'
import {
  accepted,
  batch,
  newMessage,
  outcome,
  recipient,
  settlement,
  startMs,
  type TestStore,
} from './support.ts'

/** Histories in which none of these happens say less than they seem to. */
export const rarities = [
  'an account waited for its turn',
  'an uncertain recipient was leased',
  'a delay notice was remembered',
  'a reroute was remembered',
  'a crash came before an answer',
] as const
type Rarity = (typeof rarities)[number]

type State = 'scheduled' | 'leased' | 'held'

interface Entry {
  readonly messageKey: number
  readonly message: NewMessage
  readonly number: number
  state: State
  dueAtMs: number
  reason: WaitReason
  note: string
  route: string
  attempts: number
  isDelayNotified: boolean
  isUncertain: boolean
  /** By how much the clock has been set since its acceptance, all in all. */
  clockMs: number
  /** Written before the final dot and not cleared. */
  mark: number | null
}

/** What one line would answer to a listing. */
const shown = (entry: Entry): unknown => ({
  state: entry.state,
  attempts: entry.attempts,
  nextAttemptAtMs: entry.state === 'scheduled' ? entry.dueAtMs : 0,
  reason: entry.state === 'leased' ? 'ready' : entry.reason,
  note: entry.note,
})

const retryAfterMs = 20_000
const lifeMs = 5 * 86_400_000

/** A store and what it should hold. */
export class QueueModel {
  readonly #store: TestStore
  readonly #crashesInFlight: boolean
  readonly #entries = new Map<string, Entry>()
  readonly #events = new Map<EventType, number>()
  /** Accounts that had due work and got none, with those that have been served since. */
  #waiting: ReadonlyMap<number, ReadonlySet<number>> = new Map()
  /** What has happened in this history, of what does not happen in each. */
  readonly seen: Set<Rarity> = new Set()
  #nowMs = startMs
  /** When the last event was. */
  #newestMs = 0
  /** By how much the clock is known to have been set since then. */
  #sinceNewestMs = 0

  /**
   * @param crashesInFlight false where the store writes in a thread of its own: its files
   * cannot be copied at one moment.
   */
  constructor(store: TestStore, crashesInFlight: boolean) {
    this.#store = store
    this.#crashesInFlight = crashesInFlight
  }

  async take(step: QueueStep): Promise<void> {
    switch (step.do) {
      case 'accept':
        return this.#accept(step)
      case 'lease':
        return this.#lease(step.most)
      case 'settle':
        return this.#settle(step.pick, step.kind, step.makesReport)
      case 'settleAgain':
        return this.#settleAgain(step.pick)
      case 'giveBack':
        return this.#giveBack(step.picks)
      case 'mark':
        return this.#mark(step.pick)
      case 'recallAndAct':
        await this.#giveBack(Number.POSITIVE_INFINITY)
        return this.#act(step.action, step.account)
      case 'act':
        return this.#act(step.action, step.account)
      case 'wait':
        this.#nowMs += step.ms
        return
      case 'clock':
        return this.#jump(step.ms, step.isNoticed)
      case 'restart':
        await this.#store.restart(this.#nowMs)
        return this.#recovered()
      case 'crash':
        await this.#crash(step.turns)
        return this.#recovered()
    }
  }

  /** The listing shows every open recipient as it should, and nothing else; the log has every event once. */
  async check(): Promise<void> {
    const { rows } = await this.#store.line.control.list({}, '', 10_000)
    const found = rows.map(
      ({ messageId, recipientNumber, state, attempts, nextAttemptAtMs, reason, note }) => [
        idOf(messageId, recipientNumber),
        { state, attempts, nextAttemptAtMs, reason, note },
      ],
    )
    const expected = [...this.#entries].map(([id, entry]) => [id, shown(entry)])
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(expected))
    const messages = await this.#store.line.control.messages({}, '', 10_000)
    assert.equal(messages.rows.length, new Set([...this.#entries.values()].map(one => one.messageKey)).size)
    const types = this.#store.line.events.list(0, 100_000).map(event => event.type)
    const counted = Object.entries(Object.groupBy(types, type => type)).map(([type, list]) => [
      type,
      list.length,
    ])
    assert.deepEqual(Object.fromEntries(counted), Object.fromEntries(this.#events))
  }

  // ---- operations ------------------------------------------------------------------------------------------------

  async #accept(step: Extract<QueueStep, { do: 'accept' }>): Promise<void> {
    const message = this.#newMessage(step)
    this.#add(message, await accepted(this.#store.line, message))
  }

  #newMessage({
    recipients: count,
    start: startState,
    account: accountKey,
    priority,
  }: Extract<QueueStep, { do: 'accept' }>): NewMessage {
    const recipients = Array.from({ length: count }, (_, number) => recipient(number))
    const atMs = this.#nowMs
    return newMessage({
      accountKey,
      priority,
      recipients,
      startState,
      firstAttemptAtMs: atMs,
      acceptedAtMs: atMs,
      expiresAtMs: atMs + lifeMs,
    })
  }

  #add(message: NewMessage, messageKey: number): void {
    this.#count('accepted')
    for (const { number } of message.recipients)
      this.#entries.set(idOf(message.id, number), {
        messageKey,
        message,
        number,
        state: message.startState,
        dueAtMs: message.firstAttemptAtMs,
        reason: message.startReason ?? 'first-attempt',
        note: '',
        route: '',
        attempts: 0,
        isDelayNotified: false,
        isUncertain: false,
        clockMs: 0,
        mark: null,
      })
  }

  async #lease(recipientsMax: number): Promise<void> {
    const due = [...this.#entries.values()].filter(
      one => one.state === 'scheduled' && one.dueAtMs <= this.#nowMs,
    )
    const leased = await this.#store.line.queue.lease({ recipientsMax, nowMs: this.#nowMs })
    const taken: Entry[] = []
    for (const message of leased)
      for (const one of message.recipients) taken.push(this.#leasedNow(message, one))
    assert.equal(taken.length, Math.min(recipientsMax, due.length), 'as many as are due, up to the limit')
    const accounts = new Set(due.map(one => one.message.accountKey))
    const served = new Map([...accounts].map(account => [account, 0]))
    for (const { message } of taken) served.set(message.accountKey, served.get(message.accountKey)! + 1)
    for (const account of accounts) {
      const wanted = due.filter(one => one.message.accountKey === account).sort(byUrgency)
      const got = taken.filter(one => one.message.accountKey === account).sort(byUrgency)
      assert.deepEqual(
        got.map(urgency),
        wanted.slice(0, got.length).map(urgency),
        'urgent lanes first, then by time',
      )
      if (got.length > 0) continue
      assert.ok(
        recipientsMax < accounts.size,
        'an account gets nothing only where there are more accounts than room',
      )
    }
    this.#takeTurns(served)
  }

  /** Whoever has due work and got none is served before anybody else gets a second turn. */
  #takeTurns(served: ReadonlyMap<number, number>): void {
    const waiting = new Map<number, ReadonlySet<number>>()
    for (const [account, recipients] of served) {
      if (recipients > 0) continue
      const before = this.#waiting.get(account) ?? new Set()
      const now = [...served].filter(([, count]) => count > 0).map(([other]) => other)
      for (const other of now)
        assert.ok(!before.has(other), `${other} was served twice while ${account} waited`)
      waiting.set(account, new Set([...before, ...now]))
      this.seen.add('an account waited for its turn')
    }
    this.#waiting = waiting
  }

  #leasedNow(message: LeasedMessage, one: LeasedMessage['recipients'][number]): Entry {
    const id = idOf(message.id, one.number)
    const entry = this.#entries.get(id)
    assert.ok(entry?.state === 'scheduled' && entry.dueAtMs <= this.#nowMs, `${id} was not to be leased`)
    const { attempts, route, isDelayNotified, isUncertain } = entry
    assert.deepEqual(
      {
        attempts: one.attempts,
        route: one.route,
        isDelayNotified: one.isDelayNotified,
        isUncertain: one.isUncertain,
      },
      { attempts, route, isDelayNotified, isUncertain },
    )
    if (isUncertain) this.seen.add('an uncertain recipient was leased')
    if (isDelayNotified) this.seen.add('a delay notice was remembered')
    if (route !== '') this.seen.add('a reroute was remembered')
    const expiresAtMs = entry.message.expiresAtMs + Math.max(0, entry.clockMs)
    assert.equal(message.expiresAtMs, expiresAtMs, 'a life is as long as it was, whatever the clock does')
    entry.state = 'leased'
    return entry
  }

  async #settle(
    pick: number,
    kind: 'delivered' | 'deferred' | 'bounced',
    makesReport: boolean,
  ): Promise<void> {
    const chosen = this.#leased(pick)
    if (chosen === null) return
    const [id, entry] = chosen
    const isDeferred = kind === 'deferred'
    const reason = pick % 3 === 0 ? 'site-unreachable' : 'next-attempt'
    const change = {
      atMs: this.#nowMs,
      attempts: entry.attempts + 1,
      nextAttemptAtMs: isDeferred ? this.#nowMs + retryAfterMs : 0,
      reason,
      lastOutcome: isDeferred ? packOutcome(outcome(kind)) : Buffer.alloc(0),
      isDelayNotified: entry.isDelayNotified || makesReport,
    } as const
    const { message, messageKey, number } = entry
    const one = settlement(message, messageKey, number, message.recipients.length, kind, change)
    const report = newMessage({
      accountKey: message.accountKey,
      startState: 'scheduled',
      firstAttemptAtMs: this.#nowMs,
      acceptedAtMs: this.#nowMs,
    })
    await this.#store.line.queue.settle(batch({ settlements: [one], messages: makesReport ? [report] : [] }))
    this.#count(kind)
    if (makesReport) this.#add(report, await this.#keyOf(report))
    if (isDeferred) {
      const { attempts, isDelayNotified } = change
      Object.assign(entry, {
        state: 'scheduled',
        dueAtMs: change.nextAttemptAtMs,
        attempts,
        isDelayNotified,
        reason,
      })
    } else this.#entries.delete(id)
    if (entry.mark !== null) this.#store.line.marks.clear(entry.mark, isDeferred)
    entry.mark = null
  }

  async #keyOf(message: NewMessage): Promise<number> {
    return (await this.#store.line.control.message(message.id))!.key
  }

  /** A settlement for a recipient that is in nobody's hands: from before a crash, say. It must change nothing. */
  async #settleAgain(pick: number): Promise<void> {
    const waiting = [...this.#entries.values()].filter(one => one.state !== 'leased')
    const entry = waiting[pick % Math.max(1, waiting.length)]
    if (entry === undefined) return
    const { message, messageKey, number } = entry
    const one = settlement(message, messageKey, number, message.recipients.length, 'delivered')
    await this.#store.line.queue.settle(batch({ settlements: [one] }))
  }

  async #giveBack(most: number): Promise<void> {
    const nextAttemptAtMs = this.#nowMs + (most === Number.POSITIVE_INFINITY ? 0 : 1000)
    const chosen = [...this.#entries.values()].filter(one => one.state === 'leased').slice(0, most)
    const giveBacks: GiveBack[] = chosen.map(({ messageKey, number, attempts }) => ({
      messageKey,
      recipientNumber: number,
      nextAttemptAtMs,
      reason: attempts === 0 ? 'first-attempt' : 'next-attempt',
    }))
    await this.#store.line.queue.settle(batch({ giveBacks }))
    for (const [index, entry] of chosen.entries())
      Object.assign(entry, { state: 'scheduled', dueAtMs: nextAttemptAtMs, reason: giveBacks[index]!.reason })
  }

  #mark(pick: number): void {
    const entry = this.#leased(pick)?.[1]
    if (entry === undefined || entry.mark !== null) return
    entry.mark = this.#store.line.marks.mark(entry.message.id, [entry.number])
    this.#store.line.marks.write()
  }

  async #act(kind: QueueAction['kind'], accountKey: number): Promise<void> {
    const smarthost = `relay${this.#nowMs % 3}.test:25`
    const action: QueueAction =
      kind === 'hold' ? { kind, note: 'n' } : kind === 'reroute' ? { kind, smarthost } : { kind }
    for (let cursor: string | null = ''; cursor !== null; ) {
      const step: { cursor: string | null } = await this.#store.line.control.act(
        { accountKey },
        action,
        this.#nowMs,
        3,
        cursor,
      )
      cursor = step.cursor
    }
    for (const [id, entry] of this.#entries) {
      if (entry.message.accountKey !== accountKey || entry.state === 'leased') continue
      if (kind === 'expire') {
        this.#entries.delete(id)
        this.#count('expired')
      } else if (kind === 'hold' && entry.state === 'scheduled') {
        Object.assign(entry, { state: 'held', reason: 'held-by-operator', note: 'n' })
        this.#count('held')
      } else if (kind === 'release' && entry.state === 'held') {
        Object.assign(entry, { state: 'scheduled', dueAtMs: this.#nowMs, reason: 'released', note: '' })
        this.#count('released')
      } else if (kind === 'retry' && entry.state === 'scheduled' && entry.dueAtMs > this.#nowMs) {
        Object.assign(entry, { dueAtMs: this.#nowMs, reason: 'retry-requested' })
        this.#count('retried')
      } else if (kind === 'reroute' && entry.route !== smarthost) {
        Object.assign(entry, { route: smarthost, dueAtMs: this.#nowMs })
        this.#count('rerouted')
      }
    }
  }

  /** The wall clock is set; waits and lives keep their length, and nothing expires before the time it came with. */
  async #jump(byMs: number, isNoticed: boolean): Promise<void> {
    // No two jumps come in the same millisecond: the store takes those for one.
    const beforeMs = ++this.#nowMs
    this.#nowMs += byMs
    if (!isNoticed) return
    await this.#store.line.control.clockJumped({ beforeMs, nowMs: this.#nowMs, byMs })
    this.#livesMoveAlong(
      byMs,
      byMs > 0
        ? () => true
        : ({ acceptedAtMs: atMs }) => atMs < beforeMs + byMs - 100 || atMs > this.#nowMs + 10_000,
    )
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'scheduled') continue
      if (byMs < 0) this.#comesEarlier(entry, -byMs)
      else if (entry.dueAtMs > beforeMs && entry.dueAtMs < beforeMs + byMs) entry.dueAtMs += byMs
    }
  }

  /** For the newest message that certainly came before, and all older ones. */
  #livesMoveAlong(byMs: number, isFromBefore: (message: NewMessage) => boolean): void {
    const entries = [...this.#entries.values()]
    const keys = entries.filter(({ message }) => isFromBefore(message)).map(({ messageKey }) => messageKey)
    if (keys.length === 0) return
    this.#sinceNewestMs += byMs
    for (const entry of entries) if (entry.messageKey <= Math.max(...keys)) entry.clockMs += byMs
  }

  #comesEarlier(entry: Entry, byMs: number): void {
    if (entry.dueAtMs > this.#nowMs) entry.dueAtMs = Math.max(this.#nowMs, entry.dueAtMs - byMs)
  }

  // ---- ends and beginnings ---------------------------------------------------------------------------------------

  /** kill -9 with an accept and a settlement on their way: each is there whole or not at all. */
  async #crash(turns: number): Promise<void> {
    const message = this.#newMessage({
      do: 'accept',
      recipients: 2,
      start: 'leased',
      account: 1,
      priority: 5,
    })
    const leased = this.#leased(turns)
    const { queue } = this.#store.line
    let isAcknowledged = false
    const asked: Promise<unknown>[] = [
      queue.accept(message).then(result => {
        isAcknowledged = result.kind === 'stored'
      }),
    ]
    if (leased !== null) {
      const { message: settled, messageKey, number } = leased[1]
      const one = settlement(settled, messageKey, number, settled.recipients.length, 'delivered', {
        atMs: this.#nowMs,
      })
      // A crash leaves it without an answer.
      asked.push(queue.settle(batch({ settlements: [one] })).catch(() => {}))
    }
    if (!this.#crashesInFlight) await Promise.all(asked)
    for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
    const wasAcknowledged = isAcknowledged
    if (!wasAcknowledged) this.seen.add('a crash came before an answer')
    await this.#store.crash(this.#nowMs)
    const row = await this.#store.line.control.message(message.id)
    assert.ok(row !== null || !wasAcknowledged, 'what was acknowledged is there after the crash')
    if (row !== null) this.#add(message, row.key)
    if (leased === null) return
    const ofMessage = await this.#store.line.control.list({ messageId: leased[1].message.id }, '', 100)
    if (ofMessage.rows.some(one => one.recipientNumber === leased[1].number)) return
    this.#entries.delete(leased[0])
    this.#count('delivered')
  }

  /** What was leased is due again; what had a mark is uncertain from now on. */
  #recovered(): void {
    this.#waiting = new Map()
    for (const entry of this.#entries.values()) {
      if (entry.state === 'leased') {
        const reason = entry.attempts === 0 ? 'first-attempt' : 'next-attempt'
        if (entry.mark !== null) entry.isUncertain = true
        Object.assign(entry, { state: 'scheduled', dueAtMs: this.#nowMs, reason })
      }
      entry.mark = null
    }
    // The newest event lies in the future: the clock was set back and nobody noticed.
    const behindMs = this.#newestMs - this.#nowMs
    if (behindMs < clockJumpMsMin) {
      this.#jumpsBackWereUndone()
      return
    }
    const unknownMs = behindMs + Math.min(0, this.#sinceNewestMs)
    if (unknownMs >= clockJumpMsMin) this.#livesMoveAlong(-unknownMs, () => true)
    for (const entry of this.#entries.values())
      if (entry.state === 'scheduled') this.#comesEarlier(entry, behindMs)
  }

  /** As far as nobody can tell that the clock is still behind: a message of a time that has come says nothing. */
  #jumpsBackWereUndone(): void {
    this.#sinceNewestMs = 0
    const entries = [...this.#entries.values()]
    const keys = entries
      .filter(({ clockMs, message }) => clockMs < 0 && message.acceptedAtMs < this.#nowMs + clockJumpMsMin)
      .map(({ messageKey }) => messageKey)
    for (const entry of entries)
      if (entry.messageKey <= Math.max(-1, ...keys)) entry.clockMs = Math.max(0, entry.clockMs)
  }

  #leased(pick: number): [string, Entry] | null {
    const leased = [...this.#entries].filter(([, entry]) => entry.state === 'leased')
    return leased[pick % Math.max(1, leased.length)] ?? null
  }

  #count(type: EventType): void {
    this.#newestMs = this.#nowMs
    this.#sinceNewestMs = 0
    this.#events.set(type, (this.#events.get(type) ?? 0) + 1)
  }
}

const idOf = (messageId: Buffer, number: number): string => `${messageId.toString('hex')}.${number}`

const urgency = ({ message, dueAtMs }: Entry): string => `${message.priority} ${dueAtMs}`

const byUrgency = (a: Entry, b: Entry): number =>
  a.message.priority - b.message.priority || a.dueAtMs - b.dueAtMs
