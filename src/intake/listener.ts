// Listeners: accept connections on one address, bound them, and give each an SMTP session with its meaning.
//
// The first thing on the path of a message. Bounds here: sessions in all, connections and rate per address (clients in
// a relay listener's networks are exempt). Everything else about a connection is the engine's.
// Between `bind` and `begin` connections are taken and nothing is said or read: nobody is refused while the process still
// has rights that a session must not have.
// When accept fails the door stays open: who closes it may not get it back, since the rights to open a low port are gone by
// then, and ports are shared only among sockets of one user. Today's libuv tells of no failed accept and tries again by
// itself; want of descriptors is looked for in app/descriptor-watch.ts.
// When all sessions are taken, a client without a login may have to go: places.ts says who. Connections that only stand
// there cannot keep others out, and who has logged in is never sent away for somebody new.

import net from 'node:net'
import type { BorrowedReads } from '../protocol/smtp/index.ts'
import type { AddressGuard } from './address-guard.ts'
import { networkOf } from './client-network.ts'
import type { Places, RunningSession } from './places.ts'
import type { Refusal } from './refusal.ts'
import { refusalReply, refuse } from './refusal.ts'
import { shareReads } from './shared-reads.ts'

/** What a session tells its listener. */
export interface Visit {
  /**
   * Once, as soon as the client's address is known, which may come from a proxy's header; before TLS and greeting. A
   * refusal ends the session.
   */
  admit(clientAddress: string): Refusal | null
  /** The client has logged in. */
  identified(): void
  /** Must be called once, at the end. */
  ended(): void
}

export interface ListenerPorts {
  readonly guard: AddressGuard
  /** Builds engine and handler round an accepted socket. */
  startSession(socket: net.Socket, visit: Visit, reads: BorrowedReads | undefined): RunningSession
  refusedConnection(refusal: Refusal, clientAddress: string): void
  /** Accept failed with the system's code. */
  acceptFailed(code: string): void
}

export interface ListenerOptions {
  /** `address:port`, IPv6 in brackets. */
  readonly host: string
  readonly port: number
  /** Clients of networks that the listener names: no bounds per address. */
  isExempt(clientAddress: string): boolean
  /** The address of a proxy whose header names the real client: bounds per address count for that one. */
  isProxy(address: string): boolean
  /** Sessions at once, over all listeners and threads. */
  readonly sessionsMax: number
  /** How long a stranger keeps its place when all are taken and no network holds more of them than others. */
  strangerMsMax(): number
  readonly backlog: number
}

/** One bound address in one thread. */
export class Listener {
  readonly #ports: ListenerPorts
  readonly #options: ListenerOptions
  readonly #server: net.Server
  readonly #readBuffer: Buffer = Buffer.allocUnsafeSlow(65_536)
  readonly #places: Places
  /** Sessions of connections that came before `begin`; null from then on. */
  #early: (() => void)[] | null = []

  /** @param places shared by all listeners of a thread: bounds them together */
  constructor(ports: ListenerPorts, options: ListenerOptions, places: Places) {
    this.#ports = ports
    this.#options = options
    this.#places = places
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: false }, socket =>
      this.#atBegin(() => this.#accept(socket, undefined)),
    )
    const accept = (socket: net.Socket, reads: BorrowedReads): void => this.#accept(socket, reads)
    const take = (open: () => void): void => this.#atBegin(open)
    this.#server.on('listening', () => shareReads(this.#server, this.#readBuffer, accept, take))
  }

  /** Resolves once the port is bound; rejects with the system's error. Port sharing between threads is on. */
  bind(): Promise<void> {
    const { host, port, backlog } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port, backlog, reusePort: true }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', ({ code = '' }: NodeJS.ErrnoException) => this.#ports.acceptFailed(code))
        resolve()
      })
    })
  }

  /** Sessions begin, those of connections that wait first. */
  begin(): void {
    const early = this.#early ?? []
    this.#early = null
    for (const open of early) open()
  }

  #atBegin(open: () => void): void {
    if (this.#early === null) open()
    else this.#early.push(open)
  }

  get port(): number {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : this.#options.port
  }

  /** No new connections; the sessions are drained by whoever owns their set. */
  close(): void {
    this.#server.close()
  }

  #accept(socket: net.Socket, reads: BorrowedReads | undefined): void {
    const options = this.#options
    const address = socket.remoteAddress
    if (address === undefined) {
      socket.destroy()
      return
    }
    const isExempt = options.isProxy(address) || options.isExempt(address)
    const refusal = this.#bound(address, isExempt)
    if (refusal !== null) {
      this.#turnAway(socket, refusal, address)
      return
    }
    const places = this.#places
    let counted = isExempt ? null : address
    const visit: Visit = {
      ended: () => {
        places.delete(session)
        if (counted !== null) this.#ports.guard.leave(counted)
      },
      admit: clientAddress => {
        // Without a proxy it was counted above; a proxy that speaks for itself (a health check) names no client.
        if (!options.isProxy(address) || options.isProxy(clientAddress)) return null
        places.change(session, networkOfStranger(session, clientAddress))
        if (options.isExempt(clientAddress)) return null
        const refused = this.#ports.guard.enter(clientAddress)
        if (refused === null) counted = clientAddress
        else this.#ports.refusedConnection(refused, clientAddress)
        return refused
      },
      identified: () => places.change(session, null),
    }
    const session = this.#ports.startSession(socket, visit, reads)
    places.add(session, networkOfStranger(session, address))
  }

  #bound(address: string, isExempt: boolean): Refusal | null {
    const refusal = isExempt ? null : this.#ports.guard.enter(address)
    if (refusal !== null) return refusal
    const options = this.#options
    if (!this.#places.isFull(options.sessionsMax)) return null
    const network = isExempt && !options.isProxy(address) ? null : networkOf(address)
    if (this.#places.makeRoom(network, options.strangerMsMax())) return null
    if (!isExempt) this.#ports.guard.leave(address)
    return busy(options.sessionsMax)
  }

  #turnAway(socket: net.Socket, refusal: Refusal, address: string): void {
    this.#ports.refusedConnection(refusal, address)
    socket.on('error', () => {})
    // A TLS client cannot read this line, but it does no harm there.
    const reply = refusalReply(refusal)
    socket.end(`${reply.code} ${reply.enhanced} ${reply.lines[0]}\r\n`)
    socket.destroySoon()
  }
}

/** Behind a proxy the client is known only by its header: until then it counts as the proxy. */
function networkOfStranger(session: RunningSession, address: string): string | null {
  return session.strangerMs === null ? null : networkOf(address)
}

function busy(sessionsMax: number): Refusal {
  return refuse('server-busy', `all ${sessionsMax} sessions are in use; try again in a minute`)
}
