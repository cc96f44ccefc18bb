// Bounds per client address: connections at once, connections a minute, failed logins.
//
// Asked when a connection comes in and after each failed AUTH. Addresses in a relay listener's networks are exempt from
// the first two. All threads count together (door-counts.ts, login-failures.ts). IPv6 counts by /64, since one host
// owns that much. Failed logins count by network (/24, /48) as well, else who has one could guess from each of its
// addresses in turn. Memory is bounded.

import type { Clock } from '../base/index.ts'
import { hostOf, networkOf } from './client-network.ts'
import type { DoorCounts } from './door-counts.ts'
import type { LoginFailures } from './login-failures.ts'
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

/** Hosts of a network belong to one another more often than to different people, but not always. */
const networkFactor = 10

/** Apart from every host. */
function networkKey(address: string): string {
  return `network ${networkOf(address)}`
}

/** Says what each client address may do; one per relay thread. */
export class AddressGuard {
  /** A reload may replace them. */
  limits: AddressLimits
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #counts: DoorCounts
  readonly #failures: LoginFailures

  constructor(
    limits: AddressLimits,
    counts: DoorCounts,
    failures: LoginFailures,
    clock: Pick<Clock, 'nowMs'>,
  ) {
    this.limits = limits
    this.#counts = counts
    this.#failures = failures
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

  /** How long the refusal of a login from this address is delayed: grows with failures of its host or network. */
  authDelayMs(address: string): number {
    const { freeAuthFailures, authDelayMsMax } = this.limits
    const nowMs = this.#clock.nowMs()
    const ofHost = this.#failures.of(hostOf(address), nowMs) - freeAuthFailures
    const ofNetwork = this.#failures.of(networkKey(address), nowMs) - freeAuthFailures * networkFactor
    return Math.min(Math.max(0, ofHost, ofNetwork) * 1000, authDelayMsMax)
  }

  authFailed(address: string): void {
    const nowMs = this.#clock.nowMs()
    this.#failures.add(hostOf(address), nowMs)
    this.#failures.add(networkKey(address), nowMs)
  }
}
