// Bounds per client address: connections at once, connections a minute, failed logins.
//
// Asked when a connection comes in and after each failed AUTH. Addresses in a relay listener's networks are exempt
// from the first two. IPv6 counts by /64, since one host owns that much. Memory is bounded: quiet entries are dropped.

import type { Clock } from '../base/index.ts'
import { hostOf } from './client-network.ts'
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

interface AddressState {
  open: number
  /** Connections in the running minute. */
  recent: number
  minuteStartMs: number
  authFailures: number
  lastFailureMs: number
}

const addressesMax = 50_000
const failureMemoryMs = 15 * 60_000
/** A look at all entries costs milliseconds: no more often than this, however many new addresses come. */
const sweepEveryMs = 1000
const forgottenAtOnce = 1000

/** Counts what each client address does; one per relay thread. */
export class AddressGuard {
  /** A reload may replace them. */
  limits: AddressLimits
  readonly #clock: Clock
  readonly #states = new Map<string, AddressState>()
  #sweptMs = Number.NEGATIVE_INFINITY

  constructor(limits: AddressLimits, clock: Clock) {
    this.limits = limits
    this.#clock = clock
  }

  /** A connection comes in: null lets it in (and counts it: call {@link leave} at its end). */
  enter(address: string): Refusal | null {
    const state = this.#stateOf(address)
    const now = this.#clock.monotonicMs()
    if (now - state.minuteStartMs >= 60_000) {
      state.minuteStartMs = now
      state.recent = 0
    }
    const { connectionsPerAddressMax, connectionsPerMinuteMax } = this.limits
    if (state.open >= connectionsPerAddressMax)
      return refuse(
        'too-many-connections',
        `${address} has ${state.open} connections open; close some and try again`,
      )
    if (state.recent >= connectionsPerMinuteMax)
      return refuse(
        'connection-rate',
        `${address} made ${state.recent} connections this minute; wait a minute`,
      )
    state.open++
    state.recent++
    return null
  }

  leave(address: string): void {
    const state = this.#states.get(hostOf(address))
    if (state !== undefined && state.open > 0) state.open--
  }

  /** How long the answer to a login from this address is delayed: grows with its failures, 0 at first. */
  authDelayMs(address: string): number {
    const state = this.#states.get(hostOf(address))
    if (state === undefined || this.#clock.monotonicMs() - state.lastFailureMs > failureMemoryMs) return 0
    const beyond = state.authFailures - this.limits.freeAuthFailures
    return beyond <= 0 ? 0 : Math.min(beyond * 1000, this.limits.authDelayMsMax)
  }

  authFailed(address: string): void {
    const state = this.#stateOf(address)
    const now = this.#clock.monotonicMs()
    if (now - state.lastFailureMs > failureMemoryMs) state.authFailures = 0
    state.authFailures++
    state.lastFailureMs = now
  }

  #stateOf(address: string): AddressState {
    const key = hostOf(address)
    const known = this.#states.get(key)
    if (known !== undefined) return known
    if (this.#states.size >= addressesMax) this.#dropQuiet()
    const fresh = {
      open: 0,
      recent: 0,
      minuteStartMs: this.#clock.monotonicMs(),
      authFailures: 0,
      lastFailureMs: -failureMemoryMs,
    }
    this.#states.set(key, fresh)
    return fresh
  }

  #dropQuiet(): void {
    const now = this.#clock.monotonicMs()
    if (now - this.#sweptMs >= sweepEveryMs) {
      this.#sweptMs = now
      for (const [key, state] of this.#states) {
        const isQuiet = state.open === 0 && now - state.minuteStartMs >= 60_000
        if (isQuiet && now - state.lastFailureMs > failureMemoryMs) this.#states.delete(key)
      }
    }
    // Still full: the oldest entries without an open connection go, whatever they did.
    for (const [key, state] of this.#states) {
      if (this.#states.size <= addressesMax - forgottenAtOnce) break
      if (state.open === 0) this.#states.delete(key)
    }
  }
}
