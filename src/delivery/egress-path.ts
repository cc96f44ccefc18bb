// An egress path: egress source × site. Counts the connections towards a site and lets no more be opened than allowed.
//
// Next hops of one site (the many customers of one provider) share it: who finds no slot waits in line, and an idle
// connection of another next hop is closed to make room.

import type { Connection } from './connection.ts'

/** Who waits for a slot. */
export interface SlotWaiter {
  /** A slot may be free: try again. */
  pump(): void
}

/** Bounds of a site. */
export interface SiteLimits {
  readonly connectionsPerSite: number
}

/** The connection slots of one site. */
export class EgressPath {
  /** `source|site`. */
  readonly key: string
  readonly #limits: SiteLimits
  readonly #waiters = new Set<SlotWaiter>()
  readonly connections: Set<Connection> = new Set()
  /** Next hops that refer to this path. */
  hops = 0
  #taken = 0

  /** @param limits looked at anew each time: a reload may change them. */
  constructor(key: string, limits: SiteLimits) {
    this.key = key
    this.#limits = limits
  }

  /** Open and opening connections. */
  get taken(): number {
    return this.#taken
  }

  /** Takes a slot; without one the waiter is called once when one is free. */
  acquire(waiter: SlotWaiter): boolean {
    if (this.#taken >= this.#limits.connectionsPerSite) {
      if (!this.#waiters.has(waiter)) {
        this.#waiters.add(waiter)
        this.#closeIdle()
      }
      return false
    }
    this.#taken++
    return true
  }

  /** Gives a slot back and calls who waits, until the slots are taken or nobody is left. */
  release(): void {
    this.#taken--
    for (const waiter of this.#waiters) {
      if (this.#taken >= this.#limits.connectionsPerSite) return
      this.#waiters.delete(waiter)
      waiter.pump()
    }
  }

  /** Does somebody else wait for a slot? */
  isWantedBeside(waiter: SlotWaiter): boolean {
    return this.#waiters.size > (this.#waiters.has(waiter) ? 1 : 0)
  }

  /** A waiter that is going out of use. */
  forget(waiter: SlotWaiter): void {
    this.#waiters.delete(waiter)
  }

  /** Closes the connection that has been idle longest. Its end gives the slot to who waits first. */
  #closeIdle(): void {
    let oldest: Connection | null = null
    for (const one of this.connections) {
      if (one.load === 0 && (oldest === null || one.idleSinceMs < oldest.idleSinceMs)) oldest = one
    }
    oldest?.owner?.lostConnection(oldest)
  }
}
