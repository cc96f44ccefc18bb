// A receiving SMTP server that follows a script and keeps every octet: the world behind Postrider.
//
// Deliberately independent of `src/protocol`. By default it takes all mail. `isLax` makes it a weak receiver that ends
// DATA at anything like a lone dot, as the servers did that mail was smuggled through. Loopback only.

import { createServer, type Server, type Socket } from 'node:net'

/** A message as it came. */
export interface Received {
  /** Without brackets. */
  readonly from: string
  readonly fromParameters: string
  readonly to: readonly string[]
  readonly toParameters: readonly string[]
  /** Dot-stuffing undone. */
  readonly content: Buffer
  /** The bytes between 354 and the end of data, stuffing and all. */
  readonly raw: Buffer
  readonly session: number
}

/** DATA was read and not answered; content has begun to come; all of it was read and not answered. */
export type SilentPoint = 'data' | 'content' | 'end'

/** What a receiver says; each function may answer later. A reply is without its CRLF. */
export interface Script {
  readonly greeting?: string
  /** Keywords after the first line of EHLO. */
  readonly keywords?: readonly string[]
  readonly mail?: (path: string) => string
  /** `times` counts how often this recipient has been named, from 1. */
  readonly rcpt?: (path: string, times: number) => string
  readonly endOfData?: (message: Received) => string | Promise<string>
  readonly isLax?: boolean
  /** Asked at each of these points of a transaction: true, and the session reads and says nothing any more. */
  readonly falls?: (point: SilentPoint, to: readonly string[]) => boolean
  /** Where to listen: 127.0.0.1 and any free port by default. */
  readonly host?: string
  readonly port?: number
}

const strictEnd = /\r\n\.\r\n/
const endLengthMax = 6
const laxEnd = /(?:\r\n|\r|\n)\0?\.\0?(?:\r\n|\r|\n)/

/** A running receiver. */
export class Receiver implements AsyncDisposable {
  readonly #server: Server
  readonly #script: Script
  readonly #sockets = new Set<Socket>()
  readonly #named = new Map<string, number>()
  #waiting: { readonly isEnough: () => boolean; readonly resolve: () => void }[] = []
  /** Taken messages, in order. */
  readonly messages: Received[] = []
  /** Every command line of every session. */
  readonly commands: string[] = []
  sessions = 0

  private constructor(script: Script) {
    this.#script = script
    this.#server = createServer({ noDelay: true }, socket => this.#converse(socket))
  }

  static async start(script: Script = {}): Promise<Receiver> {
    const receiver = new Receiver(script)
    await new Promise<void>((resolve, reject) => {
      receiver.#server.once('error', reject)
      receiver.#server.listen({ host: script.host ?? '127.0.0.1', port: script.port ?? 0 }, resolve)
    })
    return receiver
  }

  get port(): number {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 0
  }

  /** TOML of a route that sends everything here. */
  get route(): string {
    return `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.1:${this.port}"\n`
  }

  /** Connections that are open now. */
  get openSessions(): number {
    return this.#sockets.size
  }

  /** Resolves when so many messages have been taken, or when the condition holds. */
  waitFor(wanted: number | (() => boolean), timeoutMs: number = 60_000): Promise<void> {
    const isEnough = typeof wanted === 'number' ? () => this.messages.length >= wanted : wanted
    if (isEnough()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.messages.length} messages came in ${timeoutMs} ms: not enough`)),
        timeoutMs,
      )
      this.#waiting.push({
        isEnough,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#tell()
    })
    const session = new Conversation(socket, this.#script, ++this.sessions, {
      heard: line => {
        this.commands.push(line)
        this.#tell()
      },
      named: path => {
        const times = (this.#named.get(path) ?? 0) + 1
        this.#named.set(path, times)
        return times
      },
      taken: message => {
        this.messages.push(message)
        this.#tell()
      },
    })
    session.start()
  }

  #tell(): void {
    const ready = this.#waiting.filter(one => one.isEnough())
    this.#waiting = this.#waiting.filter(one => !ready.includes(one))
    for (const one of ready) one.resolve()
  }
}

interface Memory {
  heard(line: string): void
  named(path: string): number
  taken(message: Received): void
}

const ordinaryKeywords = ['PIPELINING', 'SIZE 0', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES']

class Conversation {
  readonly #socket: Socket
  readonly #script: Script
  readonly #number: number
  readonly #memory: Memory
  #pending = ''
  /** Content so far, without an end in it. */
  #contentPieces: string[] = []
  /** The last octets before what is pending; a line end before all content. */
  #contentTail = '\r\n'
  #isInData = false
  #isBusy = false
  #isFallen = false
  #from: [path: string, parameters: string] = ['', '']
  #to: [path: string, parameters: string][] = []

  constructor(socket: Socket, script: Script, number: number, memory: Memory) {
    this.#socket = socket
    this.#script = script
    this.#number = number
    this.#memory = memory
  }

  start(): void {
    this.#say(this.#script.greeting ?? '220 receiver.example ESMTP')
    this.#socket.on('data', (chunk: Buffer) => {
      this.#pending += chunk.toString('latin1')
      void this.#work()
    })
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    while (!this.#isFallen && (this.#isInData ? await this.#takeContent() : this.#takeCommand()));
    this.#isBusy = false
  }

  #takeCommand(): boolean {
    const end = this.#pending.indexOf('\n')
    if (end < 0) return false
    const line = this.#pending.slice(0, end).replace(/\r$/, '')
    this.#pending = this.#pending.slice(end + 1)
    this.#memory.heard(line)
    this.#obey(line)
    return true
  }

  #obey(line: string): void {
    const script = this.#script
    const [verb = ''] = line.toUpperCase().split(' ')
    if (verb === 'EHLO') {
      const lines = ['receiver.example', ...(script.keywords ?? ordinaryKeywords)]
      for (const [at, text] of lines.entries()) this.#say(`250${at === lines.length - 1 ? ' ' : '-'}${text}`)
    } else if (verb === 'MAIL') {
      this.#from = splitPath(line)
      this.#to = []
      this.#say(script.mail?.(this.#from[0]) ?? '250 2.1.0 ok')
    } else if (verb === 'RCPT') {
      const path = splitPath(line)
      const reply = script.rcpt?.(path[0], this.#memory.named(path[0])) ?? '250 2.1.5 ok'
      if (reply.startsWith('2')) this.#to.push(path)
      this.#say(reply)
    } else if (verb === 'DATA' && this.#falls('data')) {
      return
    } else if (verb === 'DATA') {
      this.#isInData = this.#to.length > 0
      this.#say(this.#isInData ? '354 go on' : '503 5.5.1 no recipients')
    } else if (verb === 'QUIT') {
      this.#say('221 2.0.0 bye')
      this.#socket.end()
    } else this.#say(['HELO', 'NOOP', 'RSET'].includes(verb) ? '250 2.0.0 ok' : '502 5.5.1 not here')
  }

  async #takeContent(): Promise<boolean> {
    if (this.#pending !== '' && this.#falls('content')) return false
    // Only what is new is searched, with a few octets before it: an end may be cut anywhere.
    const tail = `${this.#contentTail}${this.#pending}`
    const found = (this.#script.isLax === true ? laxEnd : strictEnd).exec(tail)
    if (found === null) {
      this.#contentPieces.push(this.#pending)
      this.#contentTail = tail.slice(-endLengthMax)
      this.#pending = ''
      return false
    }
    const all = this.#contentPieces.join('') + this.#pending
    // The tail began two octets before the content.
    const raw = all.slice(0, all.length + 2 - tail.length + found.index)
    this.#pending = tail.slice(found.index + found[0].length)
    this.#contentPieces = []
    this.#contentTail = '\r\n'
    this.#isInData = false
    const message: Received = {
      from: this.#from[0],
      fromParameters: this.#from[1],
      to: this.#to.map(([path]) => path),
      toParameters: this.#to.map(([, parameters]) => parameters),
      raw: Buffer.from(raw, 'latin1'),
      content: Buffer.from(`\r\n${raw}`.replaceAll('\r\n.', '\r\n').slice(2), 'latin1'),
      session: this.#number,
    }
    if (this.#falls('end')) return false
    const reply = (await this.#script.endOfData?.(message)) ?? '250 2.0.0 taken'
    if (reply.startsWith('2')) this.#memory.taken(message)
    this.#say(reply)
    return true
  }

  #falls(point: SilentPoint): boolean {
    const to = this.#to.map(([path]) => path)
    if (this.#script.falls?.(point, to) !== true) return false
    this.#isFallen = true
    this.#socket.pause()
    return true
  }

  #say(line: string): void {
    if (!this.#socket.destroyed) this.#socket.write(`${line}\r\n`)
  }
}

/** `MAIL FROM:<a@b> SIZE=3` → [`a@b`, `SIZE=3`]. A quoted local part may hold `>`, so the last bracket counts. */
function splitPath(line: string): [path: string, parameters: string] {
  const open = line.indexOf('<')
  const parametersAt = line.indexOf('> ', open)
  const close = parametersAt >= 0 ? parametersAt : line.lastIndexOf('>')
  return [line.slice(open + 1, close), line.slice(close + 1).trim()]
}
