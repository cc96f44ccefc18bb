// Which addresses failed lately and how long each is left alone: doubled with every failure, one probe at a time.
//
// Place on the path: asked before a connection is opened. A blocked address costs no connection; its last failure
// stands for it. When the time is over, one opening may probe it; while that runs the address stays blocked for others.
// Times are monotonic. Bounded: beyond `entriesMax` the oldest is forgotten.

import type { HostFailure } from './host-failure.ts'

const entriesMax = 10_000

interface Entry {
  failures: number
  blockedUntilMs: number
  isProbing: boolean
  last: HostFailure
}

/** Memory of failed addresses of one thread. */
export class HostHealth {
  readonly #entries = new Map<string, Entry>()
  #backoffMs: number
  #backoffMsMax: number

  constructor(backoffMs: number, backoffMsMax: number) {
    this.#backoffMs = backoffMs
    this.#backoffMsMax = backoffMsMax
  }

  /** For failures from now on. */
  setBackoff(backoffMs: number, backoffMsMax: number): void {
    this.#backoffMs = backoffMs
    this.#backoffMsMax = backoffMsMax
  }

  /** The last failure while the address is to be left alone; null when it may be tried. */
  blocked(address: string, nowMs: number): HostFailure | null {
    const entry = this.#entries.get(address)
    if (entry === undefined) return null
    return entry.isProbing || nowMs < entry.blockedUntilMs ? entry.last : null
  }

  /** It failed when it was tried last, and has answered nothing since. */
  hasFailed(address: string): boolean {
    return this.#entries.has(address)
  }

  /** Until when it is blocked, 0 when it is not. */
  blockedUntilMs(address: string): number {
    return this.#entries.get(address)?.blockedUntilMs ?? 0
  }

  /** A trial begins: others wait for its result when the address is on probation. */
  trying(address: string): void {
    const entry = this.#entries.get(address)
    if (entry !== undefined) entry.isProbing = true
  }

  clear(): void {
    this.#entries.clear()
  }

  succeeded(address: string): void {
    this.#entries.delete(address)
  }

  /** The trial ended without a word about the host (we gave it up). */
  undecided(address: string): void {
    const entry = this.#entries.get(address)
    if (entry !== undefined) entry.isProbing = false
  }

  failed(address: string, failure: HostFailure, nowMs: number): void {
    const failures = (this.#entries.get(address)?.failures ?? 0) + 1
    const backoffMs = Math.min(this.#backoffMs * 2 ** Math.min(failures - 1, 30), this.#backoffMsMax)
    this.#entries.delete(address)
    this.#entries.set(address, {
      failures,
      blockedUntilMs: nowMs + backoffMs,
      isProbing: false,
      last: failure,
    })
    if (this.#entries.size > entriesMax) {
      const oldest = this.#entries.keys().next()
      if (oldest.done !== true) this.#entries.delete(oldest.value)
    }
  }
}
