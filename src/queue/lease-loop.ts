// Moves due recipients from the durable scheduled queue into delivery: leases as many as delivery has room for.
//
// States: idle (a timer waits for the next look) → asking (one lease request is out) → idle. `wake` only brings the
// next look forward: losing it costs latency, never a message. When the wall clock has jumped, nothing is leased by the
// new time until the stored times have been moved along: else a jump forward would expire what waits.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Clock, ClockWatch, systemTimers, type Timers } from '../base/index.ts'
import type { LeasedMessage } from './message.ts'
import type { LeaseShares, QueueStore } from './port.ts'
import { isPassing, tellFatal } from './settler.ts'

/** Takes what was leased. */
export interface LeaseTaker {
  /** How many further recipients fit now. */
  roomRecipients(): number
  /** How much of it each account may have. */
  leaseShares(recipientsMax: number): LeaseShares
  enqueue(message: LeasedMessage, parts: null): void
}

export interface LeaseLoopOptions {
  /** How often to look when nothing is known to be due, milliseconds. */
  readonly pollMs: number
  /** Bound of one request. */
  readonly recipientsMax: number
  /** The wall clock jumped; resolves when stored times fit it again. */
  readonly onClockJump?: () => Promise<void>
}

/** When to look again while there is no room, milliseconds. */
const fullMs = 50
/** Handing on for longer than this would keep sessions waiting. */
const handOnMs = 1

/** One per relay thread. */
export class LeaseLoop {
  readonly #store: Pick<QueueStore, 'lease'>
  readonly #taker: LeaseTaker
  readonly #clock: Clock
  readonly #options: LeaseLoopOptions
  readonly #onFault: (error: unknown) => void
  readonly #clockWatch: ClockWatch
  readonly #timers: Timers
  #cancel: (() => void) | null = null
  #isAsking = false
  #isStopped = true
  #asking: Promise<void> = Promise.resolve()

  constructor(
    store: Pick<QueueStore, 'lease'>,
    taker: LeaseTaker,
    clock: Clock,
    options: LeaseLoopOptions,
    onFault: (error: unknown) => void,
    timers: Timers = systemTimers,
  ) {
    this.#store = store
    this.#taker = taker
    this.#clock = clock
    this.#options = options
    this.#onFault = onFault
    this.#clockWatch = new ClockWatch(clock)
    this.#timers = timers
  }

  start(): void {
    this.#isStopped = false
    this.wake()
  }

  /** No further lease is asked for; resolves when one that is out has arrived and was handed on. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel?.()
    this.#cancel = null
    await this.#asking
  }

  /** Look now instead of at the next poll. */
  wake(): void {
    if (this.#isStopped || this.#isAsking) return
    this.#asking = this.#look()
  }

  async #look(): Promise<void> {
    this.#cancel?.()
    this.#cancel = null
    const room = Math.min(this.#taker.roomRecipients(), this.#options.recipientsMax)
    let delayMs = this.#options.pollMs
    if (room > 0) {
      this.#isAsking = true
      try {
        if (this.#clockWatch.look() !== null) await this.#options.onClockJump?.()
        // That may have taken long: while the disk refuses, the stored times cannot be moved.
        if (this.#isStopped) return
        const shares = this.#taker.leaseShares(room)
        const nowMs = this.#clock.nowMs()
        const leased = await this.#store.lease({ recipientsMax: room, nowMs, shares })
        const recipients = await this.#handOn(leased)
        // A full answer says that more is due: go on after a breath, so that sessions get their turn.
        if (recipients >= Math.min(room, shares.each)) delayMs = 5
        // Some account has its share: it may have more as soon as something of it is done.
        else if (shares.less.size > 0) delayMs = fullMs
      } catch (error) {
        // With a full disk nothing can be leased: look again at the next poll.
        if (!isPassing(error)) tellFatal(this.#onFault, error)
      } finally {
        this.#isAsking = false
      }
    } else delayMs = fullMs
    if (!this.#isStopped) this.#cancel = this.#timers.after(delayMs, () => this.wake())
  }
  /** Hands on what was leased, with a turn for others in between when that takes long. How many recipients it was. */
  async #handOn(leased: readonly LeasedMessage[]): Promise<number> {
    let recipients = 0
    let untilMs = this.#clock.monotonicMs() + handOnMs
    for (const message of leased) {
      if (this.#clock.monotonicMs() >= untilMs) {
        await nextTurn()
        untilMs = this.#clock.monotonicMs() + handOnMs
      }
      recipients += message.recipients.length
      this.#taker.enqueue(message, null)
    }
    return recipients
  }
}
