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

  settle(
    settlements: readonly Settlement[],
    messages: readonly NewMessage[],
    done: (() => void) | null,
  ): void {
    for (const one of settlements) this.#count(one)
    if (messages.length > 0) this.#reports.inc(messages.length)
    this.#settler.settle(settlements, messages, done)
  }

  #count({ eventType, messageId, atMs, attempts }: Settlement): void {
    if (eventType === 'delivered') {
      this.#delivered.inc()
      // The first 48 bits of an id are the time at which it was made. A clock may be set back: a sum must never fall.
      const tookMs = Math.max(0, atMs - messageId.readUIntBE(0, 6))
      this.#metrics.deliverySeconds.observe(tookMs / 1000)
    } else this.#metrics.outcomes.inc(eventType)
    if (this.#logsAttempts) this.#log.event('attempt.finished', { outcome: eventType, attempt: attempts })
  }

  giveBack(giveBacks: readonly GiveBack[]): void {
    this.#settler.giveBack(giveBacks)
  }
}
