/**
 * The sink of our own scenarios: an SMTP server that counts what arrives, speaks STARTTLS when it is given a
 * certificate, and misbehaves where it is told to. Recipient n is the one to `n@…`. On loopback only, not hardened.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { type AnswerSession, Answers } from './answers.ts'
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
  /** Tracked recipients that came more than once; of these, after a 250 that was handed over; after one that may be lost. */
  readonly twice: number
  readonly twiceHeard: number
  readonly twicePerhaps: number
  /** Arrivals of tracked recipients whose 250 was not handed over before we cut the connection. */
  readonly tookUnheard: number
  readonly connections: number
  readonly handshakes: number
  readonly resumed: number
  readonly bytes: number
}

const endOfData = Buffer.from('\r\n.\r\n')
const go = '354 go on\r\n'

/** See the head of the file. */
export class TrafficSink {
  readonly #options: SinkOptions
  readonly #context: SecureContext | null
  #servers: Server[] = []
  /** Open connections, by their TCP socket. */
  readonly #sockets = new Map<Socket, AnswerSession>()
  #port: number
  #waiting: { readonly recipients: number; readonly resolve: (atMs: number) => void }[] = []
  #faults: Faults | null = null
  readonly answers: Answers
  messages = 0
  recipients = 0
  connections = 0
  handshakes = 0
  resumed = 0
  bytes = 0

  constructor(options: SinkOptions) {
    this.#options = options
    this.#port = options.port ?? 0
    const { certificate, key } = options
    this.#context =
      certificate === undefined || key === undefined
        ? null
        : createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
    this.answers = new Answers(options.tracked)
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
    for (const [socket, answers] of this.#sockets) {
      answers.cut()
      socket.destroy()
    }
    await Promise.all(closed)
  }

  /** Null: no faults from now on. */
  misbehave(shares: FaultShares | null, seed: number): void {
    this.#faults = shares === null ? null : new Faults(shares, seed)
  }

  counts(): SinkCounts {
    const { messages, recipients, connections, handshakes, resumed, bytes } = this
    const { twice, twiceHeard, twicePerhaps, tookUnheard } = this.answers
    const came = { messages, recipients, twice, twiceHeard, twicePerhaps, tookUnheard }
    return { ...came, connections, handshakes, resumed, bytes }
  }

  /** Forgets arrivals, for a new measurement; the counts go on. */
  forget(): void {
    this.answers.forget()
  }

  /** Resolves with the time at which so many recipients had come in all. */
  waitFor(recipients: number): Promise<number> {
    if (this.recipients >= recipients) return Promise.resolve(nowMs())
    return new Promise(resolve => this.#waiting.push({ recipients, resolve }))
  }

  #accept(socket: Socket): void {
    this.connections++
    const answers = this.answers.session()
    this.#sockets.set(socket, answers)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    if (this.#faults?.falls('greeting421') === true) return void socket.end('421 4.3.2 not now\r\n')
    if (this.#faults?.falls('dropAtGreeting') === true) return void socket.destroy()
    socket.write('220 sink.test ESMTP\r\n')
    this.#converse(socket, answers, false)
  }

  #startTls(socket: Socket, answers: AnswerSession): void {
    socket.removeAllListeners('data')
    socket.write('220 2.0.0 go ahead\r\n')
    const secured = new TLSSocket(socket, { isServer: true, secureContext: this.#context! })
    secured.on('error', () => {})
    secured.on('secure', () => {
      this.handshakes++
      if (secured.isSessionReused()) this.resumed++
    })
    this.#converse(secured, answers, true)
  }

  #converse(socket: Socket, answers: AnswerSession, isSecure: boolean): void {
    let rest: Buffer = Buffer.alloc(0)
    let isInData = false
    let numbers: number[] = []
    const keywords = `250-sink.test\r\n250-PIPELINING\r\n${
      this.#context !== null && !isSecure ? '250-STARTTLS\r\n' : ''
    }250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n`
    const cut = (): void => {
      answers.cut()
      socket.destroy()
    }
    const answer = (replies: string): void => {
      socket.write(replies)
      answers.handedOver()
    }
    socket.on('data', (chunk: Buffer) => {
      if (answers.isCut) return
      this.bytes += chunk.length
      if (isInData) answers.wereRead()
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
          if (faults?.falls('dropAtDot') === true) return cut()
          if (faults?.falls('dot451') === true) replies += '451 4.3.0 try later\r\n'
          else {
            this.#took(numbers, answers)
            if (faults?.falls('dropAfterDot') === true) return cut()
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
        if (verb === 'STAR' && this.#context !== null && !isSecure) return this.#startTls(socket, answers)
        if (verb === 'QUIT') {
          socket.end(`${replies}221 2.0.0 bye\r\n`)
          return answers.handedOver()
        }
        if (verb === 'RCPT') {
          const number = Number.parseInt(line.slice(line.indexOf('<') + 1), 10)
          if (faults?.isRefusedForGood(number) === true) {
            answers.refuse(number)
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
            if (faults?.falls('dropAtMail') === true) return cut()
          }
          replies += '250 2.0.0 ok\r\n'
        }
      }
      const delayMs = replies === '' ? 0 : (faults?.delayMs() ?? 0)
      if (delayMs > 0) {
        socket.pause()
        setTimeout(() => {
          if (socket.destroyed) return
          answer(replies)
          socket.resume()
        }, delayMs)
      } else if (replies !== '') answer(replies)
    })
  }

  #took(numbers: readonly number[], answers: AnswerSession): void {
    const now = nowMs()
    this.messages++
    this.recipients += numbers.length
    answers.took(numbers, now)
    if (this.#waiting.length === 0) return
    for (const one of this.#waiting) if (this.recipients >= one.recipients) one.resolve(now)
    this.#waiting = this.#waiting.filter(one => one.recipients > this.recipients)
  }
}
