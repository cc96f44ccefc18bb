// The connection pool of one thread: every open connection by its key, so that paths which share a key share connections.
//
// Key: egress source × address × TLS-policy result × MX or smarthost with its login (decision 0021). A connection is idle
// when it has no load; nothing is moved when it becomes busy or idle, so that the hot path pays nothing here.
//
// A host takes only so many connections, and the next hops of many domains may lead to it. Who finds it full waits in line
// here; a connection that becomes idle or ends is the next one's.
//
// All of them together take only so many sockets, those that are being opened among them. Who finds every place taken gets
// that of an idle connection, or waits in line for one.

import type { Connection } from './connection.ts'

/** Who waits for a host, or the pool, that has all the connections it may have. */
export interface HostWaiter {
  /** Does it still need one? */
  readonly needsHost: boolean
  /** A connection of the host became idle, or one more may be opened. */
  hostHasRoom(): void
}

/** Bounds of the pool. */
export interface PoolLimits {
  readonly connectionsTotal: number
  readonly connectionsPerHost: number
}

/** When an idle connection is looked for, so many are asked: with thousands at work a look at all would cost each push. */
const looksMax = 32

/** Open connections. */
export class ConnectionPool {
  readonly #limits: PoolLimits
  /** Who waits for a place, in order. */
  readonly #line = new Set<HostWaiter>()
  /** All connections, the one looked at last at the end. */
  readonly #round = new Set<Connection>()
  readonly #lines = new Map<string, Set<HostWaiter>>()
  readonly #byKey = new Map<string, Set<Connection>>()
  readonly #openings = new Map<string, number>()
  #size = 0
  #reserved = 0

  /** @param limits looked at anew each time: a reload may change them. */
  constructor(limits: PoolLimits) {
    this.#limits = limits
  }

  /** Open connections in all. */
  get size(): number {
    return this.#size
  }

  /** Open connections and openings take all places. */
  get isFull(): boolean {
    return this.#size + this.#reserved >= this.#limits.connectionsTotal
  }

  /** Somebody waits for a place. */
  get isWanted(): boolean {
    return this.#line.size > 0
  }

  /** Keeps a place for a connection that is being opened; `letGo` when that has ended, however it did. */
  reserve(): void {
    this.#reserved++
  }

  letGo(): void {
    this.#reserved--
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
    connection.path.add(connection)
    this.#round.add(connection)
    this.#size++
  }

  /** Forgets a connection; false when it was forgotten before. */
  remove(connection: Connection): boolean {
    const same = this.#byKey.get(connection.key)
    if (same === undefined || !same.delete(connection)) return false
    if (same.size === 0) this.#byKey.delete(connection.key)
    connection.path.remove(connection)
    this.#round.delete(connection)
    this.#size--
    return true
  }

  /** An idle connection with this key, or null. */
  idle(key: string): Connection | null {
    for (const one of this.#byKey.get(key) ?? []) if (one.load === 0 && one.isOpen) return one
    return null
  }

  /** A connection with this key is idle, or one more may be opened. */
  hasRoom(key: string): boolean {
    return this.countOf(key) < this.#limits.connectionsPerHost || this.idle(key) !== null
  }

  /** Of some connections, others each time, the one that has been idle longest; null when all of them are at work. */
  spare(): Connection | null {
    let longest: Connection | null = null
    let looks = Math.min(looksMax, this.#round.size)
    for (const one of this.#round) {
      if (looks-- === 0) break
      this.#round.delete(one)
      this.#round.add(one)
      if (one.load === 0 && (longest === null || one.idleSinceMs < longest.idleSinceMs)) longest = one
    }
    return longest
  }

  /** Puts a next hop in line for a place. @returns how long the line is. */
  awaitPlace(waiter: HostWaiter): number {
    return this.#line.add(waiter).size
  }

  /** Calls who waits for a place, until all are taken or nobody is left. */
  placeIsFree(): void {
    for (const waiter of this.#line) {
      if (this.isFull) return
      this.#line.delete(waiter)
      if (waiter.needsHost) waiter.hostHasRoom()
    }
  }

  /** Puts a next hop in line for hosts with these keys; it is told once by each. @returns how long the longest line is. */
  awaitHost(keys: readonly string[], waiter: HostWaiter): number {
    let longest = 0
    for (const key of keys) {
      const line = this.#lines.get(key)
      if (line === undefined) this.#lines.set(key, new Set([waiter]))
      else longest = Math.max(longest, line.add(waiter).size)
    }
    return longest
  }

  /** There is room with this key: the first in line that still needs it is told. False when there is none. */
  hostHasRoom(key: string): boolean {
    const line = this.#lines.get(key)
    if (line === undefined) return false
    for (const waiter of line) {
      line.delete(waiter)
      if (line.size === 0) this.#lines.delete(key)
      if (!waiter.needsHost) continue
      waiter.hostHasRoom()
      return true
    }
    return false
  }

  *all(): Generator<Connection> {
    for (const same of this.#byKey.values()) yield* same
  }
}
