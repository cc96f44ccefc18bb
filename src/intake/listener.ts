// Listeners: accept connections on one address, bound them, and give each an SMTP session with its meaning.
//
// The first thing on the path of a message. Bounds here: sessions in all, connections and rate per address (clients in
// a relay listener's networks are exempt). Everything else about a connection is the engine's.
// When all sessions are taken, the client goes that has been here longest without a login: connections that only stand
// there cannot keep others out, and who has logged in is never sent away for somebody new.

import net from 'node:net'
import { keepAccepting } from '../base/index.ts'
import type { BorrowedReads } from '../protocol/smtp/index.ts'
import type { AddressGuard } from './address-guard.ts'
import type { Refusal } from './refusal.ts'
import { refusalReply, refuse } from './refusal.ts'
import { shareReads } from './shared-reads.ts'

/** A running session, as far as the listener cares. */
export interface RunningSession {
  /** Ends after the transaction in flight (421). */
  drain(): void
  destroy(): void
  /** How long the client is here without having shown that it may send; null once it has. */
  readonly strangerMs: number | null
  /** Ends at once, in favour of somebody else. */
  makeRoom(): void
}

export interface ListenerPorts {
  readonly guard: AddressGuard
  /**
   * Builds engine and handler round an accepted socket. `ended` must be called once at its end; `admit` once before the
   * greeting, with the client's address, which may come from a proxy's header: a refusal ends the session.
   */
  startSession(
    socket: net.Socket,
    ended: () => void,
    admit: (clientAddress: string) => Refusal | null,
    reads: BorrowedReads | undefined,
  ): RunningSession
  refusedConnection(refusal: Refusal, clientAddress: string): void
  /** The door is closed for a second, since accept failed with the system's code. */
  acceptFailed(address: string, code: string): void
}

export interface ListenerOptions {
  /** `address:port`, IPv6 in brackets. */
  readonly host: string
  readonly port: number
  /** Clients of networks that the listener names: no bounds per address. */
  isExempt(clientAddress: string): boolean
  /** The address of a proxy whose header names the real client: bounds per address count for that one. */
  isProxy(address: string): boolean
  /** Sessions at once in this thread, over all listeners. */
  readonly sessionsMax: number
  /** When all are taken, a stranger that is here longer than this makes room for a newcomer. */
  strangerMsMax(): number
  readonly backlog: number
}

/** One bound address in one thread. */
export class Listener {
  readonly #ports: ListenerPorts
  readonly #options: ListenerOptions
  readonly #server: net.Server
  readonly #readBuffer: Buffer = Buffer.allocUnsafeSlow(65_536)
  readonly #sessions: Set<RunningSession>
  #accepting: Disposable | null = null

  /** @param sessions shared by all listeners of a thread: bounds them together */
  constructor(ports: ListenerPorts, options: ListenerOptions, sessions: Set<RunningSession>) {
    this.#ports = ports
    this.#options = options
    this.#sessions = sessions
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: false }, socket =>
      this.#accept(socket, undefined),
    )
    const accept = (socket: net.Socket, reads: BorrowedReads): void => this.#accept(socket, reads)
    this.#server.on('listening', () => shareReads(this.#server, this.#readBuffer, accept))
  }

  /** Resolves once the port is bound; rejects with the system's error. Port sharing between threads is on. */
  listen(): Promise<void> {
    const { host, port, backlog } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port, backlog, reusePort: true }, () => {
        this.#server.off('error', reject)
        this.#accepting = keepAccepting(this.#server, {
          listen: () => this.#server.listen({ host, port, backlog, reusePort: true }),
          onPause: code => this.#ports.acceptFailed(`${host}:${port}`, code),
        })
        resolve()
      })
    })
  }

  get port(): number {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : this.#options.port
  }

  /** No new connections; the sessions are drained by whoever owns their set. */
  close(): void {
    this.#accepting?.[Symbol.dispose]()
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
    let counted = isExempt ? null : address
    const ended = (): void => {
      this.#sessions.delete(session)
      if (counted !== null) this.#ports.guard.leave(counted)
    }
    const admit = (clientAddress: string): Refusal | null => {
      // Without a proxy it was counted above; a proxy that speaks for itself (a health check) names no client.
      if (!options.isProxy(address) || options.isProxy(clientAddress)) return null
      if (options.isExempt(clientAddress)) return null
      const refused = this.#ports.guard.enter(clientAddress)
      if (refused === null) counted = clientAddress
      else this.#ports.refusedConnection(refused, clientAddress)
      return refused
    }
    const session = this.#ports.startSession(socket, ended, admit, reads)
    this.#sessions.add(session)
  }

  #bound(address: string, isExempt: boolean): Refusal | null {
    const refusal = isExempt ? null : this.#ports.guard.enter(address)
    if (refusal !== null) return refusal
    const { sessionsMax } = this.#options
    if (this.#sessions.size < sessionsMax || this.#makeRoom()) return null
    if (!isExempt) this.#ports.guard.leave(address)
    return busy(sessionsMax)
  }

  /** True when a place is free now. */
  #makeRoom(): boolean {
    // In the order of their arrival, so the first stranger is the one that has been here longest.
    for (const session of this.#sessions) {
      const { strangerMs } = session
      if (strangerMs === null) continue
      if (strangerMs < this.#options.strangerMsMax()) return false
      this.#sessions.delete(session)
      session.makeRoom()
      return true
    }
    return false
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

function busy(sessionsMax: number): Refusal {
  return refuse('server-busy', `all ${sessionsMax} sessions are in use; try again in a minute`)
}
