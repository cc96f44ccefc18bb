// One receiving host of the lab: a listener on its address, its sessions, its behaviour, its counters.
//
// The behaviour can change at any time: what concerns connections counts for new ones, replies at once. Invariant:
// while `connect` is `refuse` there is no listener, so that the system itself refuses.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import {
  type SmtpServerOptions,
  type SmtpServerSession,
  type SmtpServerTls,
  serveSmtpSession,
  smtpServerOptions,
  type Ticker,
} from '../protocol/smtp/index.ts'
import type { LabBehaviour } from './behaviour.ts'
import { BentOutput } from './bend.ts'
import type { LabCertificates } from './certificates.ts'
import { type LabCounters, LabReceiver, type ReceiverParts, type ReceivingHost } from './receiver.ts'

const dayMs = 86_400_000
const countMax = 1_000_000_000

/** What every host shares. */
export interface HostParts extends ReceiverParts {
  readonly ticker: Ticker
  readonly certificates: LabCertificates
}

/** How a host is made. */
export interface HostOptions {
  readonly name: string
  readonly address: string
  readonly behaviour: LabBehaviour
}

/** A running host. */
export class LabHost implements ReceivingHost {
  readonly name: string
  readonly address: string
  readonly counters: LabCounters = { connections: 0, messages: 0, recipients: 0, bytes: 0 }
  readonly #parts: HostParts
  readonly #ownBehaviour: LabBehaviour
  #behaviour: LabBehaviour
  #options: SmtpServerOptions
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()
  #port = 0

  constructor(options: HostOptions, parts: HostParts) {
    this.name = options.name
    this.address = options.address
    this.#parts = parts
    this.#ownBehaviour = options.behaviour
    this.#behaviour = options.behaviour
    this.#options = this.#sessionOptions()
  }

  get behaviour(): LabBehaviour {
    return this.#behaviour
  }

  /** Listens (0: on any port) and returns the port; rejects with the system's error. */
  async listen(port: number): Promise<number> {
    this.#port = port
    if (this.#behaviour.connect === 'refuse') return port
    const server = createServer(socket => this.#accept(socket))
    server.listen({ port, host: this.address, backlog: 511 })
    await once(server, 'listening')
    this.#server = server
    const bound = server.address()
    if (typeof bound === 'object' && bound !== null) this.#port = bound.port
    return this.#port
  }

  /** Changes the behaviour; null goes back to the host's own. Resolves when it is in force. */
  async setBehaviour(change: Partial<LabBehaviour> | null): Promise<void> {
    this.#behaviour = { ...this.#ownBehaviour, ...change }
    this.#options = this.#sessionOptions()
    if (this.#behaviour.connect === 'refuse') await this.close()
    else if (this.#server === null) await this.listen(this.#port)
  }

  /** Closes the listener and cuts every connection. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    const closed = server === null ? null : once(server, 'close')
    server?.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #sessionOptions(): SmtpServerOptions {
    const { tls, maxSizeBytes, rcptMax, mailsPerSession } = this.#behaviour
    const offered: SmtpServerTls =
      tls === 'none'
        ? { mode: 'none' }
        : { mode: 'starttls', secureContext: () => this.#parts.certificates.context(this.name, tls) }
    return smtpServerOptions({
      hostname: this.name,
      tls: offered,
      maxSizeBytes,
      // The lab looks at how a client behaves; it does not defend itself.
      limits: {
        rcptMax,
        mailsPerSession,
        errorsMax: countMax,
        junkCommandsMax: countMax,
        contentBytesPerSecondMin: 0,
        sessionMs: dayMs,
        handlerMs: dayMs,
      },
    })
  }

  #accept(socket: Socket): void {
    this.counters.connections++
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#behaviour.connect === 'serve') {
      this.#serve(socket)
      return
    }
    socket.on('error', () => {})
    if (this.#behaviour.connect === 'close') socket.destroy()
    // Silent: what comes is read and thrown away; the peer's end is ours.
    else socket.resume()
  }

  #serve(socket: Socket): void {
    const { withholds, isHeloOnly, bytePauseMs } = this.#behaviour
    const bends = { hostname: this.name, withholds, isHeloOnly, bytePauseMs }
    let bent = withholds.length > 0 || isHeloOnly || bytePauseMs > 0 ? new BentOutput(socket, bends) : null
    let session: SmtpServerSession | null = null
    const handler = new LabReceiver(this, this.#parts, {
      cut: () => session?.destroy(),
      slowDown: pauseMs => {
        if (session === null || session.facts.tls !== null) return false
        bent ??= new BentOutput(socket, bends)
        bent.slowDown(pauseMs)
        return true
      },
    })
    session = serveSmtpSession({ socket, handler, options: this.#options, ticker: this.#parts.ticker })
  }
}
