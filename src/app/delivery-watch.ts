// What delivery tells: metrics on the way of each settlement into its commit.

import type { OutcomeSink } from '../delivery/index.ts'
import type { GiveBack, NewMessage, Settlement, Settler } from '../queue/index.ts'
import type { Log, Metrics, Tally } from '../telemetry/index.ts'

/** Counts outcomes and hands them on. */
export class DeliveryWatch implements OutcomeSink {
  readonly #settler: Settler
  readonly #log: Log
  readonly #metrics: Metrics
  readonly #delivered: Tally
  readonly #reports: Tally
  readonly #logsAttempts: boolean

  constructor(settler: Settler, log: Log, metrics: Metrics) {
    this.#settler = settler
    this.#log = log
    this.#metrics = metrics
    this.#delivered = metrics.outcomes.child('delivered')
    this.#reports = metrics.accepted.child('local')
    this.#logsAttempts = log.writes('attempt.finished')
  }

  settle(settlement: Settlement, messages: readonly NewMessage[], done: (() => void) | null): void {
    const { eventType, messageId, atMs } = settlement
    if (eventType === 'delivered') {
      this.#delivered.inc()
      // The first 48 bits of an id are the time at which it was made. A clock may be set back: a sum must never fall.
      const tookMs = Math.max(0, atMs - messageId.readUIntBE(0, 6))
      this.#metrics.deliverySeconds.observe(tookMs / 1000)
    } else this.#metrics.outcomes.inc(eventType)
    if (messages.length > 0) this.#reports.inc(messages.length)
    if (this.#logsAttempts)
      this.#log.event('attempt.finished', { outcome: eventType, attempt: settlement.attempts })
    this.#settler.settle(settlement, messages, done)
  }

  giveBack(giveBacks: readonly GiveBack[]): void {
    this.#settler.giveBack(giveBacks)
  }
}
