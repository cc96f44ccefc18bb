// The connection pool of one thread: every open connection by its key, so that paths which share a key share connections.
//
// Key: egress source × MX address × TLS-policy result × credentials (DESIGN section 5). A connection is idle when it has
// no load; nothing is moved when it becomes busy or idle, so that the hot path pays nothing here.
//
// A host takes only so many connections, and the next hops of many domains may lead to it. Who finds it full waits in line
// here; a connection that becomes idle or ends is the next one's.

import type { Connection } from './connection.ts'

/** Who waits for a host that has all the connections it may have. */
export interface HostWaiter {
  /** Does it still need one? */
  readonly needsHost: boolean
  /** A connection of the host became idle, or one more may be opened. */
  hostHasRoom(): void
}

/** Open connections. */
export class ConnectionPool {
  readonly #lines = new Map<string, Set<HostWaiter>>()
  readonly #byKey = new Map<string, Set<Connection>>()
  readonly #openings = new Map<string, number>()
  #size = 0

  /** Open connections in all. */
  get size(): number {
    return this.#size
  }

  /** Open and opening connections with this key. */
  countOf(key: string): number {
    return (this.#byKey.get(key)?.size ?? 0) + (this.#openings.get(key) ?? 0)
  }

  opening(key: string, change: 1 | -1): void {
    const count = (this.#openings.get(key) ?? 0) + change
    if (count === 0) this.#openings.delete(key)
    else this.#openings.set(key, count)
  }

  add(connection: Connection): void {
    const same = this.#byKey.get(connection.key)
    if (same === undefined) this.#byKey.set(connection.key, new Set([connection]))
    else same.add(connection)
    connection.path.connections.add(connection)
    this.#size++
  }

  /** Forgets a connection; false when it was forgotten before. */
  remove(connection: Connection): boolean {
    const same = this.#byKey.get(connection.key)
    if (same === undefined || !same.delete(connection)) return false
    if (same.size === 0) this.#byKey.delete(connection.key)
    connection.path.connections.delete(connection)
    this.#size--
    return true
  }

  /** An idle connection with this key, or null. */
  idle(key: string): Connection | null {
    for (const one of this.#byKey.get(key) ?? []) if (one.load === 0 && one.isOpen) return one
    return null
  }

  /** The connection that has been idle longest, or null. Looks at all: for when there are too many. */
  longestIdle(): Connection | null {
    let longest: Connection | null = null
    for (const one of this.all())
      if (one.load === 0 && (longest === null || one.idleSinceMs < longest.idleSinceMs)) longest = one
    return longest
  }

  /** Puts a next hop in line for hosts with these keys; it is told once by each. */
  awaitHost(keys: readonly string[], waiter: HostWaiter): void {
    for (const key of keys) {
      const line = this.#lines.get(key)
      if (line === undefined) this.#lines.set(key, new Set([waiter]))
      else line.add(waiter)
    }
  }

  /** There is room with this key: the first in line that still needs it is told. */
  hostHasRoom(key: string): void {
    const line = this.#lines.get(key)
    if (line === undefined) return
    for (const waiter of line) {
      line.delete(waiter)
      if (line.size === 0) this.#lines.delete(key)
      if (!waiter.needsHost) continue
      waiter.hostHasRoom()
      return
    }
  }

  *all(): Generator<Connection> {
    for (const same of this.#byKey.values()) yield* same
  }
}
