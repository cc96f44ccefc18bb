// Bounds per client address: connections at once, connections a minute, failed logins.
//
// Asked when a connection comes in and after each failed AUTH. Addresses in a relay listener's networks are exempt
// from the first two, which all threads count together (door-counts.ts). Failed logins each thread counts for itself: shared
// slots would let guessers slow down others. IPv6 counts by /64, since one host owns that much. Memory is bounded: the hosts
// that failed longest ago are forgotten.

import type { Clock } from '../base/index.ts'
import { hostOf } from './client-network.ts'
import type { DoorCounts } from './door-counts.ts'
import { type Refusal, refuse } from './refusal.ts'

/** Bounds; every value has its reason in the configuration reference. */
export interface AddressLimits {
  readonly connectionsPerAddressMax: number
  readonly connectionsPerMinuteMax: number
  /** Failed logins after which further ones are slowed. */
  readonly freeAuthFailures: number
  /** Longest delay of a login answer. */
  readonly authDelayMsMax: number
}

interface Failures {
  count: number
  lastMs: number
}

const hostsMax = 50_000
const failureMemoryMs = 15 * 60_000
const forgottenAtOnce = 1000

/** Says what each client address may do; one per relay thread. */
export class AddressGuard {
  /** A reload may replace them. */
  limits: AddressLimits
  readonly #clock: Clock
  readonly #counts: DoorCounts
  readonly #failures = new Map<string, Failures>()

  constructor(limits: AddressLimits, counts: DoorCounts, clock: Clock) {
    this.limits = limits
    this.#counts = counts
    this.#clock = clock
  }

  /** A connection comes in: null lets it in (and counts it: call {@link leave} at its end). */
  enter(address: string): Refusal | null {
    const { connectionsPerAddressMax, connectionsPerMinuteMax } = this.limits
    const nowMs = this.#clock.nowMs()
    const bound = this.#counts.enter(
      hostOf(address),
      connectionsPerAddressMax,
      connectionsPerMinuteMax,
      nowMs,
    )
    if (bound === 'open')
      return refuse(
        'too-many-connections',
        `${address} has ${connectionsPerAddressMax} connections open; close some and try again`,
      )
    if (bound === 'rate')
      return refuse(
        'connection-rate',
        `${address} made ${connectionsPerMinuteMax} connections this minute; wait a minute`,
      )
    return null
  }

  leave(address: string): void {
    this.#counts.leave(hostOf(address))
  }

  /** How long the answer to a login from this address is delayed: grows with its failures, 0 at first. */
  authDelayMs(address: string): number {
    const failures = this.#failures.get(hostOf(address))
    if (failures === undefined || this.#clock.monotonicMs() - failures.lastMs > failureMemoryMs) return 0
    const beyond = failures.count - this.limits.freeAuthFailures
    return beyond <= 0 ? 0 : Math.min(beyond * 1000, this.limits.authDelayMsMax)
  }

  authFailed(address: string): void {
    const host = hostOf(address)
    const now = this.#clock.monotonicMs()
    const before = this.#failures.get(host)
    const count = before === undefined || now - before.lastMs > failureMemoryMs ? 1 : before.count + 1
    // The order of the map is that of the last failures.
    this.#failures.delete(host)
    this.#failures.set(host, { count, lastMs: now })
    if (this.#failures.size > hostsMax) this.#forgetOldest()
  }

  #forgetOldest(): void {
    for (const host of this.#failures.keys()) {
      if (this.#failures.size <= hostsMax - forgottenAtOnce) return
      this.#failures.delete(host)
    }
  }
}
