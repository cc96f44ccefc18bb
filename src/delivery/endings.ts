// How recipients leave the engine: settled with an outcome, or given back to the scheduled queue without one.
//
// What happened                                      how they leave                          while the engine drains
// an attempt has outcomes                            settled with them                       the same
// there is no plan, or no host could be reached      settled: deferred or bounced            no host: given back
// its route cannot be read                           settled: deferred                       the same
// the message expired before its attempt             settled: expired                        given back
// the hosts let it wait too long                     given back, for some minutes            the same
// it was recalled, or comes while nothing is taken   given back, due at once                 the same
//
// Invariant: the room that a recipient takes is let go exactly once, with its settlement or give-back; that of the content
// with the last recipient of its message.

import type { Clock } from '../base/index.ts'
import type { GiveBack } from '../queue/index.ts'
import type { Room } from '../queue/ready/index.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import { giveBacksOf } from './give-back.ts'
import type { HostFailure } from './host-failure.ts'
import { localFailures } from './local-failure.ts'
import type { DeliveryOptions } from './options.ts'
import { decidedHere, noHost, noPlan, type RecipientOutcome } from './outcome.ts'
import type { ReportPorts } from './report.ts'
import type { ResolveFailure } from './resolve/index.ts'
import { expired, type OutcomeSink, Settling } from './settling.ts'

/** What a host lets wait too long comes again after this time or up to twice as much, so that it does not come at once. */
const postponedMs = 300_000

export interface EndingsPorts {
  readonly sink: OutcomeSink
  readonly room: Room
  readonly clock: Clock
  /** From 0 up to but without 1. */
  readonly random: () => number
  readonly reports: ReportPorts
  onFault(error: unknown): void
  /** Some recipients have left. */
  onLeft(): void
}

/** See the head of the file. */
export class Endings {
  /** Set once by the engine when it drains: nothing is begun any more. */
  isDraining = false
  readonly #ports: EndingsPorts
  readonly #options: DeliveryOptions
  readonly #settling: Settling

  constructor(ports: EndingsPorts, options: DeliveryOptions) {
    this.#ports = ports
    this.#options = options
    const { sink, clock, random, reports } = ports
    this.#settling = new Settling(
      {
        sink,
        clock,
        random,
        reports,
        onFault: error => ports.onFault(error),
        released: (batch, count) => this.#released(batch, count),
      },
      options,
    )
  }

  /** Outcomes that wait for their report. */
  get pending(): number {
    return this.#settling.pending
  }

  /** Results of an attempt; `committed` runs once after all of them are on disk. */
  attempted(
    batch: DeliveryBatch,
    outcomes: readonly RecipientOutcome[],
    peerHasDsn: boolean,
    committed: (() => void) | null,
  ): void {
    this.#settling.settle(batch, outcomes, peerHasDsn, committed)
  }

  noPlan(batch: DeliveryBatch, failure: ResolveFailure): void {
    const atMs = this.#ports.clock.nowMs()
    this.#settle(
      batch,
      batch.recipients.map(recipient => noPlan(recipient, failure, atMs)),
    )
  }

  noWay(batch: DeliveryBatch): void {
    const atMs = this.#ports.clock.nowMs()
    this.#settle(
      batch,
      batch.recipients.map(recipient =>
        decidedHere(recipient, localFailures.unreadableRoute(recipient.route), null, atMs, false),
      ),
    )
  }

  noHost(batch: DeliveryBatch, failures: readonly HostFailure[]): void {
    if (this.isDraining) {
      this.giveBack(batch)
      return
    }
    const atMs = this.#ports.clock.nowMs()
    this.#settle(
      batch,
      batch.recipients.map(recipient => noHost(recipient, failures, atMs)),
    )
  }

  /** It is past its expiry, and must not be sent any more. */
  isTooLate({ inHand }: DeliveryBatch): boolean {
    const lateMs = this.#ports.clock.monotonicMs() - inHand.expiresAtMonotonicMs
    return lateMs > this.#options.expiryGraceMs
  }

  /** Ends a batch that is past its expiry and was never sent; false when it may still go. */
  expire(batch: DeliveryBatch): boolean {
    if (this.isDraining || !this.isTooLate(batch)) return false
    const { clock } = this.#ports
    const atMs = clock.nowMs()
    const failure = localFailures.expiredUnsent()
    this.#settle(
      batch,
      batch.recipients.map(recipient => expired(decidedHere(recipient, failure, null, atMs, false))),
    )
    return true
  }

  postpone(batch: DeliveryBatch): void {
    const nowMs = this.#ports.clock.nowMs()
    const dueAtMs = nowMs + Math.round(postponedMs * (1 + this.#ports.random()))
    const nextAttemptAtMs = Math.max(nowMs, Math.min(dueAtMs, batch.message.expiresAtMs))
    const giveBacks = giveBacksOf(batch.message, batch.recipients, nextAttemptAtMs, 'site-unreachable')
    this.#ports.sink.giveBack(giveBacks)
    this.#released(batch, batch.recipients.length)
  }

  giveBack(batch: DeliveryBatch): void {
    this.#ports.sink.giveBack(this.taken([batch]))
  }

  /** Give-backs for who takes them himself. */
  taken(batches: readonly DeliveryBatch[]): GiveBack[] {
    const nowMs = this.#ports.clock.nowMs()
    const giveBacks: GiveBack[] = []
    for (const batch of batches) {
      giveBacks.push(...giveBacksOf(batch.message, batch.recipients, nowMs))
      this.#released(batch, batch.recipients.length)
    }
    return giveBacks
  }

  #settle(batch: DeliveryBatch, outcomes: readonly RecipientOutcome[]): void {
    this.#settling.settle(batch, outcomes, false, null)
  }

  #released(batch: DeliveryBatch, count: number): void {
    const { inHand } = batch
    const { room } = this.#ports
    inHand.open -= count
    const isLast = inHand.open === 0
    room.release(batch.message.accountKey, count, isLast ? inHand.contentBytes : 0)
    if (isLast && inHand.changedBytes > 0) room.releaseChanged(inHand.changedBytes)
    this.#ports.onLeft()
  }
}
