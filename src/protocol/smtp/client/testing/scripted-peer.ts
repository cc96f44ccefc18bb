// A receiving host on loopback whose dialogue is a script written in the test. For tests only.
//
// A script is an async function over one connection: it sends bytes and says which lines it expects. What it did not
// expect fails the test when the peer is disposed, so that a wrong dialogue cannot pass unseen.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { TLSSocket, type TLSSocketOptions } from 'node:tls'
import type { SmtpTicker, SmtpTicking } from '../ticker.ts'

/** Thrown into a script whose connection is gone; ends the script without failing the test. */
class PeerGone extends Error {}

/** One accepted connection. */
export class PeerConnection {
  socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #isGone = false
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    this.#listen(socket)
  }

  send(bytes: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /** The next line, without CRLF; must equal or match `expected`. */
  async line(expected?: string | RegExp): Promise<string> {
    const end = await this.#until(() => this.#received.indexOf('\r\n'))
    const line = this.#take(end + 2)
      .toString('utf8')
      .slice(0, -2)
    if (typeof expected === 'string') assert.equal(line, expected)
    else if (expected !== undefined) assert.match(line, expected)
    return line
  }

  /** Everything up to and with the final dot, as it came over the wire. */
  async data(): Promise<Buffer> {
    const end = await this.#until(() =>
      this.#received.indexOf('.\r\n') === 0 ? 0 : dotted(this.#received.indexOf('\r\n.\r\n')),
    )
    return this.#take(end + 3)
  }

  async octets(count: number): Promise<Buffer> {
    await this.#until(() => (this.#received.length >= count ? 0 : -1))
    return this.#take(count)
  }

  /** Bytes received and not yet read by the script. */
  get pending(): string {
    return this.#received.toString('latin1')
  }

  async startTls(options: TLSSocketOptions): Promise<void> {
    const plain = this.socket
    plain.removeAllListeners('data')
    plain.removeAllListeners('close')
    assert.equal(this.#received.length, 0, 'bytes arrived before TLS')
    const secure = new TLSSocket(plain, { ...options, isServer: true })
    this.socket = secure
    this.#listen(secure)
    await once(secure, 'secure')
  }

  /** Settles when the client has closed. */
  async closed(): Promise<void> {
    await this.#until(() => (this.#isGone ? 0 : -1)).catch(() => {})
  }

  end(): void {
    this.socket.end()
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    const gone = () => {
      this.#isGone = true
      this.#wake()
    }
    socket.on('error', gone)
    socket.on('end', gone)
    socket.on('close', gone)
  }

  #take(count: number): Buffer {
    const taken = this.#received.subarray(0, count)
    this.#received = this.#received.subarray(count)
    return taken
  }

  async #until(found: () => number): Promise<number> {
    for (;;) {
      const at = found()
      if (at !== -1) return at
      if (this.#isGone) throw new PeerGone('the client closed the connection')
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }
}

function dotted(index: number): number {
  return index === -1 ? -1 : index + 2
}

/** A listening peer; dispose it to stop it and to hear of unexpected dialogue. */
export interface ScriptedPeer extends AsyncDisposable {
  readonly port: number
  /** Connections accepted so far. */
  readonly count: () => number
}

/** Starts a peer on a free port, of 127.0.0.1 by default; each connection runs `script`. */
export async function startPeer(
  script: (connection: PeerConnection) => Promise<void> | void,
  address: string = '127.0.0.1',
): Promise<ScriptedPeer> {
  const sockets = new Set<Socket>()
  const failures: unknown[] = []
  let count = 0
  const server: Server = createServer(socket => {
    count++
    sockets.add(socket)
    const connection = new PeerConnection(socket)
    Promise.try(script, connection).catch((error: unknown) => {
      if (!(error instanceof PeerGone)) failures.push(error)
      socket.destroy()
    })
  })
  server.listen(0, address)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    count: () => count,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** A ticker whose clock the test moves. */
export class ManualTicker implements SmtpTicker {
  readonly #members = new Set<SmtpTicking>()
  #nowMs = 0

  get size(): number {
    return this.#members.size
  }

  add(member: SmtpTicking): void {
    this.#members.add(member)
  }

  delete(member: SmtpTicking): void {
    this.#members.delete(member)
  }

  /** Moves the clock second by second. */
  advance(ms: number): void {
    for (const untilMs = this.#nowMs + ms; this.#nowMs < untilMs; ) {
      this.#nowMs += 1_000
      for (const member of [...this.#members]) member.tick(this.#nowMs)
    }
  }
}
