// From outcomes to settlements: next attempt or expiry, packed facts, DSN mail; then the sink commits them.
//
// Place on the path: the last step of an attempt. The hot path (a delivery without a report) is synchronous and makes one
// facts buffer and one settlement. Reports need the content and are awaited; their outcomes settle with them, in one
// commit. Invariant: each recipient is settled exactly once, whatever becomes of its report.

import type { Clock } from '../base/index.ts'
import { type Outcome, packBothOutcomes } from '../events/index.ts'
import type { DsnAction } from '../protocol/mail/index.ts'
import type { GiveBack, NewMessage, Settlement, WaitReason } from '../queue/index.ts'
import { nextAttempt } from '../queue/ready/index.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { DeliveryOptions } from './options.ts'
import { asKind, type RecipientOutcome } from './outcome.ts'
import { makeReports, type ReportEntry, type ReportPorts, reportAction } from './report.ts'

/** Where results go: they are gathered there into commits. Never awaited here. */
export interface OutcomeSink {
  /**
   * Settlements of one message, and the messages that they make: all in one commit, or the report of all would be lost
   * with some of them or made twice. `done` runs once they are on disk.
   */
  settle(settlements: readonly Settlement[], messages: readonly NewMessage[], done: (() => void) | null): void
  giveBack(giveBacks: readonly GiveBack[]): void
}

export interface SettlingPorts {
  readonly sink: OutcomeSink
  readonly clock: Clock
  /** From 0 up to but without 1. */
  readonly random: () => number
  readonly reports: ReportPorts
  /** A report that could not be made, and the outcome is settled without it; or one made without the original. */
  onFault(error: unknown): void
  /** So many recipients of the batch are out of our hands. */
  released(batch: DeliveryBatch, count: number): void
}

/** Reports made at once: each reads up to 256 KiB of its message. The others wait as decided. */
const reportsMax = 32

const none: readonly NewMessage[] = []
const noBytes = Buffer.alloc(0)

interface Decided extends RecipientOutcome {
  readonly waitReason: WaitReason
  readonly nextAttemptAtMs: number
  readonly action: DsnAction | null
}

/** Writes outcomes down. */
export class Settling {
  readonly #ports: SettlingPorts
  readonly #options: DeliveryOptions
  readonly #reportsInLine = new Set<() => Promise<void>>()
  #reporting = 0
  #pending = 0

  constructor(ports: SettlingPorts, options: DeliveryOptions) {
    this.#ports = ports
    this.#options = options
  }

  /** Outcomes that wait for their report. */
  get pending(): number {
    return this.#pending
  }

  /** Settles the outcomes of one batch; `committed` runs once after all of them are on disk. */
  settle(
    batch: DeliveryBatch,
    outcomes: readonly RecipientOutcome[],
    peerHasDsn: boolean,
    committed: (() => void) | null,
  ): void {
    const unreported: Decided[] = []
    const reported: Decided[] = []
    for (const one of outcomes) {
      const decided = this.#decide(batch, one, peerHasDsn)
      if (decided.action === null) unreported.push(decided)
      else reported.push(decided)
    }
    const areBoth = unreported.length > 0 && reported.length > 0
    const done = committed !== null && areBoth ? countdown(2, committed) : committed
    if (unreported.length > 0) this.#write(batch, unreported, none, done)
    if (reported.length === 0) return
    this.#pending += reported.length
    this.#reportsInLine.add(() => this.#settleWithReport(batch, reported, done))
    if (this.#reporting < reportsMax) void this.#report()
  }

  /** Makes the reports that wait, one after another. */
  async #report(): Promise<void> {
    this.#reporting++
    // Those that come meanwhile stand at the end.
    for (const make of this.#reportsInLine) {
      this.#reportsInLine.delete(make)
      await make()
    }
    this.#reporting--
  }

  #decide(batch: DeliveryBatch, one: RecipientOutcome, peerHasDsn: boolean): Decided {
    const { message } = batch
    const { recipient, conversation, waitReason = 'next-attempt' } = one
    let { outcome } = one
    let nextAttemptAtMs = 0
    if (outcome.kind === 'deferred') {
      const nowMs = this.#ports.clock.nowMs()
      const lifeMs = batch.inHand.expiresAtMonotonicMs - this.#ports.clock.monotonicMs()
      const next = nextAttempt(
        this.#options.retry,
        recipient.attempts + 1,
        nowMs,
        Math.round(nowMs + lifeMs),
        this.#ports.random,
      )
      if (next.kind === 'expired') outcome = asKind(outcome, 'expired')
      else nextAttemptAtMs = next.atMs
    }
    const { delayNoticeAfterMs } = this.#options
    const action = message.sendsDsn
      ? reportAction(message, recipient, outcome, { peerHasDsn, delayNoticeAfterMs })
      : null
    return { recipient, outcome, conversation, waitReason, nextAttemptAtMs, action }
  }

  async #settleWithReport(
    batch: DeliveryBatch,
    decided: readonly Decided[],
    done: (() => void) | null,
  ): Promise<void> {
    const { reports } = this.#ports
    const onFault = (error: unknown): void => this.#ports.onFault(error)
    const messages: NewMessage[] = []
    // One report has one kind of news: a failure is not mixed with a delay.
    for (const action of new Set(decided.map(one => one.action))) {
      const entries = decided.filter((one): one is Decided & ReportEntry => one.action === action)
      try {
        messages.push(...(await makeReports(batch.message, batch.content, entries, reports, onFault)))
      } catch (error) {
        onFault(error)
      }
    }
    this.#pending -= decided.length
    this.#write(batch, decided, messages, done)
  }

  #write(
    batch: DeliveryBatch,
    decided: readonly Decided[],
    messages: readonly NewMessage[],
    done: (() => void) | null,
  ): void {
    const settlements = decided.map(one => settlementOf(batch, one))
    this.#ports.sink.settle(settlements, messages, done)
    this.#ports.released(batch, settlements.length)
  }
}

function settlementOf({ message }: DeliveryBatch, decided: Decided): Settlement {
  const { recipient, outcome, nextAttemptAtMs, conversation, waitReason } = decided
  const isAttempt = outcome.stage !== 'queue' || outcome.kind === 'deferred'
  const attempts = recipient.attempts + (isAttempt ? 1 : 0)
  const isDeferred = outcome.kind === 'deferred'
  const packed = packBothOutcomes({
    forwardPath: recipient.forwardPath,
    attempt: isAttempt ? attempts : 0,
    outcome,
    nextAttemptAtMs,
    conversation,
  })
  return {
    messageKey: message.key,
    messageId: message.id,
    recipientNumber: recipient.number,
    recipientCount: message.recipientCount,
    accountKey: message.accountKey,
    streamKey: message.streamKey,
    attempts,
    eventType: outcome.kind,
    facts: packed.facts,
    atMs: outcome.atMs,
    nextAttemptAtMs,
    reason: waitReason,
    lastOutcome: isDeferred ? packed.outcome : noBytes,
    isDelayNotified: recipient.isDelayNotified || decided.action === 'delayed',
  }
}

/** Calls `then` at the n-th call. */
function countdown(count: number, then: () => void): () => void {
  let left = count
  return () => {
    if (--left === 0) then()
  }
}

/** The same outcome as expired, for a decision without an attempt. */
export function expired(one: RecipientOutcome): RecipientOutcome {
  const outcome: Outcome = asKind(one.outcome, 'expired')
  return { ...one, outcome }
}
