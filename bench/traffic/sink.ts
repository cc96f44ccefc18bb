/**
 * The sink of our own scenarios: an SMTP server that counts what arrives, speaks STARTTLS when it is given a
 * certificate, and misbehaves where it is told to. Recipient n is the one to `n@…`. On loopback only, not hardened.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { nowMs } from './child.ts'
import { type FaultShares, Faults } from './faults.ts'

export interface SinkOptions {
  /** Loopback addresses to listen on, all at one port. */
  readonly addresses: readonly string[]
  /** Any by default. */
  readonly port?: number
  /** PEM; with both STARTTLS is offered. */
  readonly certificate?: string
  readonly key?: string
  /** Recipients from 0 up to but without this are told apart; others are only counted. */
  readonly tracked: number
}

/** What came so far. */
export interface SinkCounts {
  readonly messages: number
  readonly recipients: number
  /** Tracked recipients that came more than once. */
  readonly twice: number
  readonly connections: number
  readonly handshakes: number
  readonly resumed: number
  readonly bytes: number
  /** Tracked recipients that were refused for good (`550`). */
  readonly refusedForGood: number
}

const endOfData = Buffer.from('\r\n.\r\n')
const go = '354 go on\r\n'

/** See the head of the file. */
export class TrafficSink {
  readonly #options: SinkOptions
  readonly #context: SecureContext | null
  #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  #port: number
  #waiting: { readonly recipients: number; readonly resolve: (atMs: number) => void }[] = []
  #faults: Faults | null = null
  /** Arrival of each tracked recipient, 0 before. */
  arrivals: Float64Array
  /** 1: refused for good once. */
  refused: Uint8Array
  messages = 0
  recipients = 0
  twice = 0
  connections = 0
  handshakes = 0
  resumed = 0
  bytes = 0
  refusedForGood = 0

  constructor(options: SinkOptions) {
    this.#options = options
    this.#port = options.port ?? 0
    const { certificate, key } = options
    this.#context =
      certificate === undefined || key === undefined
        ? null
        : createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
    this.arrivals = new Float64Array(options.tracked)
    this.refused = new Uint8Array(options.tracked)
  }

  /** Listens, on the port of the first time or any. @returns the port. */
  async open(): Promise<number> {
    for (const address of this.#options.addresses) {
      const server = createServer({ noDelay: true, allowHalfOpen: false }, socket => this.#accept(socket))
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: address, port: this.#port, backlog: 1024 }, resolve)
      })
      const bound = server.address()
      if (typeof bound === 'object' && bound !== null) this.#port = bound.port
      this.#servers.push(server)
    }
    return this.#port
  }

  /** Refuses connections and cuts those that are open, as a receiver that is down. */
  async shut(): Promise<void> {
    const closed = this.#servers.map(one => new Promise<void>(resolve => one.close(() => resolve())))
    this.#servers = []
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }

  /** Null: no faults from now on. */
  misbehave(shares: FaultShares | null, seed: number): void {
    this.#faults = shares === null ? null : new Faults(shares, seed)
  }

  counts(): SinkCounts {
    const { messages, recipients, twice, connections, handshakes, resumed, bytes, refusedForGood } = this
    return { messages, recipients, twice, connections, handshakes, resumed, bytes, refusedForGood }
  }

  /** Forgets arrivals, for a new measurement; the counts go on. */
  forget(): void {
    this.arrivals.fill(0)
    this.twice = 0
  }

  /** Resolves with the time at which so many recipients had come in all. */
  waitFor(recipients: number): Promise<number> {
    if (this.recipients >= recipients) return Promise.resolve(nowMs())
    return new Promise(resolve => this.#waiting.push({ recipients, resolve }))
  }

  #accept(socket: Socket): void {
    this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    if (this.#faults?.falls('greeting421') === true) return void socket.end('421 4.3.2 not now\r\n')
    if (this.#faults?.falls('dropAtGreeting') === true) return void socket.destroy()
    socket.write('220 sink.test ESMTP\r\n')
    this.#converse(socket, false)
  }

  #startTls(socket: Socket): void {
    socket.removeAllListeners('data')
    socket.write('220 2.0.0 go ahead\r\n')
    const secured = new TLSSocket(socket, { isServer: true, secureContext: this.#context! })
    secured.on('error', () => {})
    secured.on('secure', () => {
      this.handshakes++
      if (secured.isSessionReused()) this.resumed++
    })
    this.#converse(secured, true)
  }

  #converse(socket: Socket, isSecure: boolean): void {
    let rest: Buffer = Buffer.alloc(0)
    let isInData = false
    let numbers: number[] = []
    const keywords = `250-sink.test\r\n250-PIPELINING\r\n${
      this.#context !== null && !isSecure ? '250-STARTTLS\r\n' : ''
    }250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n`
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let replies = ''
      const faults = this.#faults
      for (;;) {
        if (isInData) {
          const end = rest.indexOf(endOfData)
          if (end < 0) {
            // What could be the start of the end stays; a large content is not kept.
            if (rest.length > 4) rest = rest.subarray(rest.length - 4)
            break
          }
          rest = rest.subarray(end + endOfData.length)
          isInData = false
          if (faults?.falls('dropAtDot') === true) return void socket.destroy()
          if (faults?.falls('dot451') === true) replies += '451 4.3.0 try later\r\n'
          else {
            this.#took(numbers)
            if (faults?.falls('dropAfterDot') === true) return void socket.destroy()
            replies += '250 2.0.0 ok\r\n'
          }
          numbers = []
          continue
        }
        const end = rest.indexOf('\r\n')
        if (end < 0) break
        const line = rest.toString('latin1', 0, end)
        rest = rest.subarray(end + 2)
        const verb = line.slice(0, 4).toUpperCase()
        if (verb === 'STAR' && this.#context !== null && !isSecure) return this.#startTls(socket)
        if (verb === 'QUIT') return void socket.end(`${replies}221 2.0.0 bye\r\n`)
        if (verb === 'RCPT') {
          const number = Number.parseInt(line.slice(line.indexOf('<') + 1), 10)
          if (faults?.isRefusedForGood(number) === true) {
            this.#refuse(number)
            replies += '550 5.1.1 no such user\r\n'
          } else if (faults?.falls('rcpt450') === true) replies += '450 4.2.1 try later\r\n'
          else {
            numbers.push(number)
            replies += '250 2.1.5 ok\r\n'
          }
        } else if (verb === 'DATA') {
          isInData = numbers.length > 0
          replies += isInData ? go : '503 5.5.1 no recipients\r\n'
          // So that a content without lines before its dot is found too.
          if (isInData) rest = Buffer.concat([Buffer.from('\r\n'), rest])
        } else if (verb === 'EHLO') replies += keywords
        else {
          if (verb === 'MAIL') {
            numbers = []
            if (faults?.falls('dropAtMail') === true) return void socket.destroy()
          }
          replies += '250 2.0.0 ok\r\n'
        }
      }
      const delayMs = replies === '' ? 0 : (faults?.delayMs() ?? 0)
      if (delayMs > 0) {
        socket.pause()
        setTimeout(() => {
          if (socket.destroyed) return
          socket.write(replies)
          socket.resume()
        }, delayMs)
      } else if (replies !== '') socket.write(replies)
    })
  }

  #refuse(number: number): void {
    if (number >= this.refused.length || this.refused[number] === 1) return
    this.refused[number] = 1
    this.refusedForGood++
  }

  #took(numbers: readonly number[]): void {
    const now = nowMs()
    this.messages++
    this.recipients += numbers.length
    for (const number of numbers) {
      if (number >= this.arrivals.length) continue
      if (this.arrivals[number] !== 0) this.twice++
      else this.arrivals[number] = now
    }
    if (this.#waiting.length === 0) return
    for (const one of this.#waiting) if (this.recipients >= one.recipients) one.resolve(now)
    this.#waiting = this.#waiting.filter(one => one.recipients > this.recipients)
  }
}
