// Who has a place in this thread, and who makes room for a newcomer when all places are taken.
//
// Place on the path: asked by the listeners for each connection. A stranger is a client that must log in and has not; only
// strangers make room. Counted are those of each network, since who attacks holds many places from few networks and
// who comes with mail holds one:
//   1. A newcomer takes the place of the network with most strangers when that holds at least two more than its own
//      network, and of any stranger when it needs no login: at once, of the one that is there longest.
//   2. Where all networks hold about the same, the stranger that is here longest of all goes, once it had time to log in.
// The first rule can only make networks more equal, so that nobody is pushed out in a circle. Each step is O(1).

import type { DoorCounts } from './door-counts.ts'

/** A running session, as far as its place is concerned. */
export interface RunningSession {
  /** Ends after the transaction in flight (421). */
  drain(): void
  destroy(): void
  /** How long the client is here without having shown that it may send; null once it has. */
  readonly strangerMs: number | null
  /** Ends at once, in favour of somebody else. */
  makeRoom(): void
}

/** The strangers of one network, in the same order; never empty. */
type Network = Set<RunningSession>

/** The running sessions of a thread, over all its listeners. */
export class Places implements Iterable<RunningSession> {
  readonly #counts: Pick<DoorCounts, 'sessions' | 'sessionBegan' | 'sessionEnded'>
  readonly #sessions = new Set<RunningSession>()
  /** Strangers with the key of their network, in the order in which they came to be known as of that network. */
  readonly #strangers = new Map<RunningSession, string>()
  readonly #networks = new Map<string, Network>()
  /** The networks with so many strangers; the last set is never empty. */
  readonly #bySize: Set<Network>[] = []

  /** @param counts the sessions of all threads: the bound holds for them together, and who goes is of this one */
  constructor(counts: Pick<DoorCounts, 'sessions' | 'sessionBegan' | 'sessionEnded'>) {
    this.#counts = counts
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Are that many places taken, in all threads together? */
  isFull(sessionsMax: number): boolean {
    return this.#counts.sessions >= sessionsMax
  }

  [Symbol.iterator](): Iterator<RunningSession> {
    return this.#sessions.values()
  }

  /** @param network key of the client's network; null when it needs no login */
  add(session: RunningSession, network: string | null): void {
    this.#sessions.add(session)
    this.#counts.sessionBegan()
    if (network !== null) this.#addStranger(session, network)
  }

  /** The client is another one than its address said (a proxy), or, with null, a stranger no more. */
  change(session: RunningSession, network: string | null): void {
    const before = this.#strangers.get(session)
    if (before === undefined) return
    this.#strangers.delete(session)
    this.#leave(session, before)
    if (network !== null) this.#addStranger(session, network)
  }

  delete(session: RunningSession): void {
    this.change(session, null)
    if (this.#sessions.delete(session)) this.#counts.sessionEnded()
  }

  /**
   * Sends one stranger away for a newcomer. False: nobody has to go.
   * @param network of the newcomer; null when it needs no login
   */
  makeRoom(network: string | null, strangerMsMax: number): boolean {
    const leaving = this.#whoGoes(network, strangerMsMax)
    if (leaving === undefined) return false
    this.delete(leaving)
    leaving.makeRoom()
    return true
  }

  #whoGoes(network: string | null, strangerMsMax: number): RunningSession | undefined {
    const most = this.#bySize.length
    const own = network === null ? -1 : (this.#networks.get(network)?.size ?? 0)
    if (most >= own + 2) return first(first(this.#bySize[most - 1]!)!)
    const longest = first(this.#strangers.keys())
    return longest !== undefined && (longest.strangerMs ?? 0) >= strangerMsMax ? longest : undefined
  }

  #addStranger(session: RunningSession, key: string): void {
    this.#strangers.set(session, key)
    const network = this.#networks.get(key) ?? new Set()
    if (network.size === 0) this.#networks.set(key, network)
    else this.#uncount(network)
    network.add(session)
    this.#count(network)
  }

  #leave(session: RunningSession, key: string): void {
    const network = this.#networks.get(key)!
    this.#uncount(network)
    network.delete(session)
    if (network.size === 0) this.#networks.delete(key)
    else this.#count(network)
    while (this.#bySize.at(-1)?.size === 0) this.#bySize.pop()
  }

  #count(network: Network): void {
    const at = network.size - 1
    const alike = this.#bySize[at]
    if (alike === undefined) this.#bySize[at] = new Set([network])
    else alike.add(network)
  }

  #uncount(network: Network): void {
    this.#bySize[network.size - 1]!.delete(network)
  }
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value
  return undefined
}
