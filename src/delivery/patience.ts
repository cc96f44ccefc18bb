// How long each host may take until its session is ready, so that one attempt to open a connection comes to an end.
//
// Place on the path: the opener asks before it dials. A host may be silent, or spell out its greeting, for minutes; of ten
// such hosts the first ones would keep the mail from the last, which may be well, for an hour. So all of them share one
// time: each may take as much as leaves enough for the others. The first one, and each of two (RFC 5321 §5.1: at least two
// are to be tried), has all the time that a handshake may take; what quick ones do not need is for the slow ones.

import type { Clock } from '../base/index.ts'

/** This part of the whole time is kept for each other host: more than one that is well needs. */
const keptShare = 1 / 8
/** Less than this part is too little to judge a host by. */
const leastShare = 1 / 20

/** Bounds of one opening. */
export interface PatienceBounds {
  /** All dials together, milliseconds. */
  readonly openingMs: number
  /** One of them at most, milliseconds. */
  readonly handshakeMs: number
}

/** The time of one opening; it runs from here. */
export class Patience {
  readonly #bounds: PatienceBounds
  readonly #clock: Clock
  readonly #startedMs: number

  constructor(bounds: PatienceBounds, clock: Clock) {
    this.#bounds = bounds
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  /** How long the next host may take when so many may still be dialled, it among them; 0 when there is no time left. */
  nextMs(hosts: number): number {
    const { openingMs, handshakeMs } = this.#bounds
    const leftMs = openingMs - (this.#clock.monotonicMs() - this.#startedMs)
    const leastMs = openingMs * leastShare
    if (leftMs < leastMs) return 0
    const keptMs = (hosts - 1) * openingMs * keptShare
    return Math.min(handshakeMs, leftMs, Math.max(leftMs - keptMs, leastMs))
  }
}
