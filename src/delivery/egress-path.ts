// An egress path: egress source × site. Counts the connections towards a site and lets no more be opened than allowed.
//
// Next hops of one site (the many customers of one provider) share it. Who finds no slot waits in line. A connection
// that becomes idle goes to the first in line whom it serves as well as one of its own (the same address under the same
// demands); when there is none, it is closed to make room. Who is served so often by others cannot keep the rest
// waiting: a connection carries only so many messages, and then its slot goes to the first in line.

import type { Connection } from './connection.ts'

/** Who waits for a slot. */
export interface SlotWaiter {
  /** A slot may be free: try again. */
  pump(): void
  /** Pool keys of connections that serve it as well as one of its own. */
  servingKeys(): readonly string[]
  /** Has it a use for this idle connection of another next hop of this path? */
  mayInherit(connection: Connection): boolean
  /** Takes it over. */
  inherit(connection: Connection): void
}

/** In line some may have found another way meanwhile: so many are asked. */
const heirsAskedMax = 8

/** Bounds of a site. */
export interface SiteLimits {
  readonly connectionsPerSite: number
}

/** Who waits. */
interface Line {
  /** In the order in which they came, with the keys under which they stand in `byKey`. */
  readonly waiters: Map<SlotWaiter, readonly string[]>
  readonly byKey: Map<string, Set<SlotWaiter>>
}

const none: readonly never[] = []

/** The connection slots of one site. */
export class EgressPath {
  /** `source|site`. */
  readonly key: string
  readonly #limits: SiteLimits
  /** Null while nobody waits: there may be tens of thousands of paths, most with one connection or none. */
  #line: Line | null = null
  #connections: readonly Connection[] = none
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

  get isFull(): boolean {
    return this.#taken >= this.#limits.connectionsPerSite
  }

  /** Takes a slot; without one the waiter is called once when one is free, or inherits an idle connection. */
  acquire(waiter: SlotWaiter): boolean {
    if (this.isFull) {
      if (this.#line?.waiters.has(waiter) !== true) {
        this.#await(waiter)
        if (!this.#serveFromIdle(waiter)) this.#closeIdle()
      }
      return false
    }
    this.#taken++
    return true
  }

  /** Gives a slot back and calls who waits, until the slots are taken or nobody is left. */
  release(): void {
    this.#taken--
    for (const waiter of this.#line?.waiters.keys() ?? none) {
      if (this.isFull) return
      this.forget(waiter)
      waiter.pump()
    }
  }

  /** Does somebody else wait for a slot? */
  isWantedBeside(waiter: SlotWaiter): boolean {
    if (this.#line === null) return false
    const { waiters } = this.#line
    return waiters.size > (waiters.has(waiter) ? 1 : 0)
  }

  /** Gives an idle connection to the first in line whom it serves; false when there is none. */
  passOn(connection: Connection): boolean {
    const inLine = this.#line?.byKey.get(connection.key)
    if (inLine === undefined) return false
    for (const waiter of firstOf(inLine, heirsAskedMax)) {
      // Who has no use for it keeps its place.
      if (!waiter.mayInherit(connection)) continue
      this.forget(waiter)
      waiter.inherit(connection)
      return true
    }
    return false
  }

  /** A waiter that is going out of use, or waits no longer. */
  forget(waiter: SlotWaiter): void {
    if (this.#line === null) return
    const { waiters, byKey } = this.#line
    const keys = waiters.get(waiter)
    if (keys === undefined) return
    waiters.delete(waiter)
    for (const key of keys) {
      const inLine = byKey.get(key)
      inLine?.delete(waiter)
      if (inLine?.size === 0) byKey.delete(key)
    }
    if (waiters.size === 0) this.#line = null
  }

  /** A connection that has its slot here. */
  add(connection: Connection): void {
    this.#connections = [...this.#connections, connection]
  }

  remove(connection: Connection): void {
    this.#connections =
      this.#connections.length === 1 ? none : this.#connections.filter(one => one !== connection)
  }

  #await(waiter: SlotWaiter): void {
    this.#line ??= { waiters: new Map(), byKey: new Map() }
    const { waiters, byKey } = this.#line
    const keys = waiter.servingKeys()
    waiters.set(waiter, keys)
    for (const key of keys) {
      const inLine = byKey.get(key)
      if (inLine === undefined) byKey.set(key, new Set([waiter]))
      else inLine.add(waiter)
    }
  }

  #serveFromIdle(waiter: SlotWaiter): boolean {
    const keys = this.#line?.waiters.get(waiter)
    for (const one of this.#connections) {
      if (one.load > 0 || !one.isOpen || keys?.includes(one.key) !== true) continue
      if (!waiter.mayInherit(one)) continue
      this.forget(waiter)
      waiter.inherit(one)
      return true
    }
    return false
  }

  /** Closes the connection that has been idle longest. Its end gives the slot to who waits first. */
  #closeIdle(): void {
    let oldest: Connection | null = null
    for (const one of this.#connections) {
      if (one.load === 0 && (oldest === null || one.idleSinceMs < oldest.idleSinceMs)) oldest = one
    }
    oldest?.owner?.lostConnection(oldest)
  }
}

/** A copy, since those in line change while they are asked. */
function firstOf<T>(values: Iterable<T>, count: number): T[] {
  const first: T[] = []
  for (const value of values) {
    if (first.length === count) break
    first.push(value)
  }
  return first
}
