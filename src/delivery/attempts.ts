// Attempts under way: runs batches on connections, and reads from each what it says of its recipients and of its host.
//
// Place on the path: next hop ▶ ATTEMPTS ▶ endings, or back to the next hop. When an attempt is over:
// 1. A first reply of the peer: its host is well.
// 2. Outcomes are settled, and the mark of the end of data is cleared once they are on disk.
// 3. A connection that was lost counts as a try; a host that never answered anything on it has failed. One that lost grouped
//    commands gets none any more.
// 4. Who must go again goes back to the next hop, or, while the engine drains, to the scheduled queue.
// 5. The connection is free for the next batch.
// Invariant: each recipient of the batch goes one of these ways, once.

import type { Clock } from '../base/index.ts'
import { groupLost } from '../protocol/smtp/client/index.ts'
import type { LeasedRecipient } from '../queue/index.ts'
import { type AttemptPorts, type AttemptResult, runAttempt } from './attempt.ts'
import type { Connection } from './connection.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { Endings } from './endings.ts'
import { dropFailure } from './host-failure.ts'
import type { HostHealth } from './host-health.ts'
import type { NextHop } from './next-hop.ts'
import type { DeliveryOptions } from './options.ts'
import type { RecipientOutcome } from './outcome.ts'
import type { ConnectionPool } from './pool.ts'
import type { EndOfDataMarks } from './port.ts'
import type { Loss } from './results.ts'
import type { UngroupedHosts } from './ungrouped-hosts.ts'

export interface AttemptsPorts {
  readonly clock: Clock
  readonly pool: ConnectionPool
  readonly health: HostHealth
  readonly ungrouped: UngroupedHosts
  readonly marks: EndOfDataMarks
  readonly endings: Endings
  readonly attempt: AttemptPorts
  /** An attempt is over. */
  onOver(): void
}

/** See the head of the file. */
export class Attempts {
  readonly #ports: AttemptsPorts
  readonly #options: DeliveryOptions
  #inFlight = 0

  constructor(ports: AttemptsPorts, options: DeliveryOptions) {
    this.#ports = ports
    this.#options = options
  }

  /** Batches in an attempt now. */
  get inFlight(): number {
    return this.#inFlight
  }

  run(batch: DeliveryBatch, connection: Connection, hop: NextHop): void {
    this.#inFlight++
    const { clock, attempt, endings } = this.#ports
    const limits = {
      recipientsMax: hop.recipientsMax,
      wholeContentBytesMax: this.#options.wholeContentBytesMax,
      mayRerun: batch.reruns < this.#options.rerunsMax,
      // It may wait in the connection behind others that take long.
      mayStart: () => !endings.isTooLate(batch),
    }
    const startedMs = clock.monotonicMs()
    void runAttempt(batch, connection, attempt, limits).then(result => {
      if (result.outcomes.length > 0) connection.tookMs(clock.monotonicMs() - startedMs)
      this.#ran(batch, connection, hop, result)
    })
  }

  #ran(batch: DeliveryBatch, connection: Connection, hop: NextHop, result: AttemptResult): void {
    const { outcomes, again, markToken } = result
    const { marks, health, endings, ungrouped, clock } = this.#ports
    // Also with the result of the content before: the next connection is opened with the first of them.
    if (connection.session.end?.code === groupLost)
      ungrouped.note(connection.remoteAddress, clock.monotonicMs())
    // Not only the first: those that were refused here come before the peer's.
    if (outcomes.some(one => one.outcome.source === 'reply') && connection.answered++ === 0) {
      connection.isBlamed = false
      health.succeeded(connection.remoteAddress)
      health.succeeded(connection.key)
    }
    if (outcomes.length > 0) {
      const comesAgain = again.length > 0 || outcomes.some(({ outcome }) => outcome.kind === 'deferred')
      const clear = markToken < 0 ? null : () => marks.clear(markToken, comesAgain)
      endings.attempted(batch, outcomes, connection.session.facts.capabilities.hasDsn, clear)
    } else if (markToken >= 0) marks.clear(markToken, true)
    const isLost = result.lost !== null && this.#isLost(connection, result.lost, outcomes)
    if (again.length > 0) this.#again(batch, hop, result, isLost)
    this.#inFlight--
    hop.ran(connection)
    this.#ports.onOver()
  }

  /**
   * Does this end of a connection count as a try? A host that never answered anything is one that failed, and the next
   * connection goes to another one.
   */
  #isLost(connection: Connection, loss: Loss, outcomes: readonly RecipientOutcome[]): boolean {
    const { end } = connection.session
    // `answered` alone comes too late: the result of the transaction before may still be on its way here.
    const hasAnswered = connection.answered > 0 || connection.session.hasAnswered
    const isUnanswered = !hasAnswered && !outcomes.some(one => one.outcome.source === 'reply')
    // Who came to a connection just when it ended has not been tried.
    if (loss.how === 'not-started' && (end === null || !isUnanswered)) return false
    if (isUnanswered && !connection.isBlamed) this.#blame(connection, loss)
    return true
  }

  #blame(connection: Connection, { isInData }: Loss): void {
    const { pool, health, clock } = this.#ports
    const { session, remoteAddress, tls } = connection
    const isSilent = session.end?.kind === 'timeout'
    connection.isBlamed = true
    // Others at a silent host, opened while we waited, are as silent: what waits must not go through them one by one.
    if (isSilent)
      for (const other of pool.all())
        if (other.remoteAddress === remoteAddress && other.answered === 0) other.isBlamed = true
    const why = session.end?.message ?? 'the connection was lost'
    const failure = dropFailure(connection, tls, why, { isTimeout: isSilent, isInData })
    health.failed(remoteAddress, failure, clock.monotonicMs())
  }

  #again(batch: DeliveryBatch, hop: NextHop, result: AttemptResult, isLost: boolean): void {
    if (result.why === 'too-many-recipients') {
      const taken = batch.recipients.length - result.again.length
      if (taken > 0) hop.tookOnly(taken)
    }
    const { endings } = this.#ports
    const reruns = batch.reruns + (isLost ? 1 : 0)
    // Together again, all domains but one would be refused once more.
    const groups = result.why === 'one-domain' ? byDomain(result.again) : [result.again]
    for (const recipients of groups) {
      const rest = { ...batch, recipients, reruns }
      if (endings.isDraining) endings.giveBack(rest)
      else hop.putBack(rest)
    }
  }
}

function byDomain(recipients: readonly LeasedRecipient[]): Iterable<readonly LeasedRecipient[]> {
  return Map.groupBy(recipients, one => one.domain).values()
}
