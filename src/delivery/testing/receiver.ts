// A receiving server for tests: speaks SMTP from a table of replies, drops connections where
// told, and remembers all it saw.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { Offer, refusedContent, refusedMail, refusedPipeline, refusedRcpt } from './strict.ts'

/**
 * A reply such as `250 ok`, `drop` to close the connection instead, or `silence` to read
 * and answer nothing from then on.
 */
export type Answer = string | 'drop' | 'silence'

export interface ReceiverOptions {
  readonly address?: string
  readonly port?: number
  readonly greeting?: Answer
  /** EHLO keywords; default PIPELINING, 8BITMIME, SIZE, ENHANCEDSTATUSCODES. */
  readonly keywords?: readonly string[]
  /** Refuses what goes beyond these keywords, before any of the answers below are asked for; else it takes anything. */
  readonly isStrict?: true
  /** What is left to it of what came together with the end of a content; chasquid 1.11 loses the beginning or all. */
  readonly keepsOfFollowing?: (following: string) => string
  /** Answers to EHLO, instead of the keywords, and to HELO. */
  readonly onHello?: () => Answer
  /** Answers to AUTH; default: as to any other command that it does not know. */
  readonly onAuth?: (line: string) => Answer
  /** Answers to MAIL by its number on the connection (from 1). */
  readonly onMail?: (count: number, line: string) => Answer
  /** Answers to RCPT by path and number in the transaction (from 1). */
  readonly onRcpt?: (path: string, count: number) => Answer
  /** Answers to DATA. */
  readonly onData?: () => Answer
  /** Answers to the end of data; may wait. */
  readonly onEnd?: (content: string) => Answer | Promise<Answer>
  /** Offer STARTTLS with this certificate; `broken` answers 220 and then speaks no TLS, `refused` answers 454. */
  readonly tls?: { readonly key: string; readonly cert: string } | 'broken' | 'refused'
}

export interface ReceivedMessage {
  readonly mail: string
  readonly recipients: readonly string[]
  readonly rcptLines: readonly string[]
  readonly content: string
  readonly isTls: boolean
  readonly connection: number
}

/** A running receiver. */
export class Receiver implements AsyncDisposable {
  options: ReceiverOptions
  readonly server: Server
  readonly messages: ReceivedMessage[] = []
  /** All command lines, for counting. */
  readonly commands: string[] = []
  /** What TLS connections asked for by SNI; false: nothing. */
  readonly serverNames: (string | false | null | undefined)[] = []
  connections = 0
  open = 0
  readonly #sockets = new Set<Socket>()

  constructor(options: ReceiverOptions) {
    this.options = options
    this.server = createServer({ noDelay: true }, socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      new Dialogue(this, socket)
    })
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  /** Behaves otherwise from now on. */
  change(options: ReceiverOptions): void {
    this.options = options
  }

  /** Ends all connections, and waits until they are gone. */
  async closeAll(): Promise<void> {
    await Promise.all(
      [...this.#sockets].map(socket => {
        const gone = once(socket, 'close')
        socket.destroy()
        return gone
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.server.close()
    await once(this.server, 'close')
  }
}

/** Starts a receiver on 127.0.0.x. */
export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const receiver = new Receiver(options)
  receiver.server.listen(options.port ?? 0, options.address ?? '127.0.0.1')
  await once(receiver.server, 'listening')
  return receiver
}

const defaultKeywords = ['PIPELINING', '8BITMIME', 'SIZE', 'ENHANCEDSTATUSCODES']

class Dialogue {
  readonly #receiver: Receiver
  readonly #number: number
  #socket: Socket
  #buffer = ''
  #isInData = false
  #isTls = false
  #isWaiting = false
  #mails = 0
  #mail = ''
  #hasMail = false
  #rcpts = 0
  #recipients: string[] = []
  #rcptLines: string[] = []

  constructor(receiver: Receiver, socket: Socket) {
    this.#receiver = receiver
    this.#socket = socket
    this.#number = ++receiver.connections
    receiver.open++
    socket.on('close', () => receiver.open--)
    this.#listen(socket)
    this.#answer(receiver.options.greeting ?? '220 mx.test ESMTP')
  }

  #listen(socket: Socket): void {
    socket.on('error', () => socket.destroy())
    socket.on('data', chunk => {
      this.#buffer += chunk.toString('latin1')
      this.#read()
    })
  }

  #answer(answer: Answer): void {
    if (answer === 'drop') this.#socket.destroy()
    else if (answer === 'silence') this.#isWaiting = true
    else {
      this.#socket.write(`${answer}\r\n`)
      if (answer.startsWith('421')) this.#socket.end()
    }
  }

  #read(): void {
    while (!this.#isWaiting && !this.#socket.destroyed) {
      const mark = this.#isInData ? '\r\n.\r\n' : '\r\n'
      const at = this.#buffer.indexOf(mark)
      if (at < 0) return
      const text = this.#buffer.slice(0, at)
      this.#buffer = this.#buffer.slice(at + mark.length)
      if (this.#isInData) void this.#end(`${text}\r\n`.slice(2))
      else this.#command(text)
    }
  }

  async #end(content: string): Promise<void> {
    this.#isInData = false
    this.#isWaiting = true
    const { keepsOfFollowing } = this.#receiver.options
    if (keepsOfFollowing !== undefined) this.#buffer = keepsOfFollowing(this.#buffer)
    const plain = content.replace(/^\.\./gm, '.')
    const answer =
      this.#refused(offer => refusedContent(plain, this.#mail, offer)) ??
      (await this.#receiver.options.onEnd?.(content)) ??
      '250 2.0.0 taken'
    this.#isWaiting = false
    if (answer.startsWith('2')) {
      this.#receiver.messages.push({
        mail: this.#mail,
        recipients: this.#recipients,
        rcptLines: this.#rcptLines,
        content: plain,
        isTls: this.#isTls,
        connection: this.#number,
      })
    }
    this.#hasMail = false
    this.#recipients = []
    this.#answer(answer)
    this.#read()
  }

  #keywords(): readonly string[] {
    const { keywords = defaultKeywords, tls } = this.#receiver.options
    return tls !== undefined && !this.#isTls ? [...keywords, 'STARTTLS'] : keywords
  }

  /** What a strict receiver says instead of its answer. */
  #refused(look: (offer: Offer) => string | null): string | null {
    return this.#receiver.options.isStrict === true ? look(new Offer(this.#keywords())) : null
  }

  #command(line: string): void {
    this.#receiver.commands.push(line)
    const { options } = this.#receiver
    const verb = line.slice(0, 4).toUpperCase()
    const refused = this.#refused(offer =>
      this.#buffer !== '' && verb !== 'QUIT' ? refusedPipeline(offer) : null,
    )
    if (refused !== null) this.#answer(refused)
    else if (/^(EHLO|HELO)$/.test(verb) && options.onHello !== undefined) this.#answer(options.onHello())
    else if (verb === 'EHLO') this.#ehlo()
    else if (verb === 'STAR') this.#startTls()
    else if (verb === 'MAIL') {
      this.#mail = line
      this.#recipients = []
      this.#rcptLines = []
      this.#rcpts = 0
      const answer =
        this.#refused(offer => refusedMail(line, offer)) ??
        options.onMail?.(++this.#mails, line) ??
        '250 2.1.0 ok'
      this.#hasMail = answer.startsWith('2')
      this.#answer(answer)
    } else if (verb === 'RCPT') {
      const path = /<([^>]*)>/.exec(line)?.[1] ?? ''
      const answer = this.#hasMail
        ? (this.#refused(offer => refusedRcpt(line, this.#mail, offer)) ??
          options.onRcpt?.(path, ++this.#rcpts) ??
          '250 2.1.5 ok')
        : '503 5.5.1 MAIL first'
      if (answer.startsWith('2')) {
        this.#recipients.push(path)
        this.#rcptLines.push(line)
      }
      this.#answer(answer)
    } else if (verb === 'DATA') {
      const answer =
        this.#recipients.length === 0 ? '503 5.5.1 no recipients' : (options.onData?.() ?? '354 go')
      this.#isInData = answer.startsWith('3')
      // A lone dot ends the content too.
      if (this.#isInData) this.#buffer = `\r\n${this.#buffer}`
      this.#answer(answer)
    } else if (verb === 'AUTH' && options.onAuth !== undefined) {
      this.#answer(options.onAuth(line))
    } else if (verb === 'QUIT') {
      this.#socket.end('221 2.0.0 bye\r\n')
    } else if (options.isStrict === true && !['HELO', 'RSET', 'NOOP'].includes(verb)) {
      this.#answer('502 5.5.1 not implemented')
    } else if (options.keepsOfFollowing !== undefined) this.#answer('500 5.5.1 Unknown command')
    else this.#answer('250 2.0.0 ok')
  }

  #ehlo(): void {
    const keywords = this.#keywords()
    this.#socket.write(`250-mx.test\r\n${keywords.map(one => `250-${one}\r\n`).join('')}250 HELP\r\n`)
  }

  #startTls(): void {
    const { tls } = this.#receiver.options
    if (tls === undefined && this.#receiver.options.isStrict === true) {
      this.#answer('502 5.5.1 not implemented')
      return
    }
    if (tls === 'refused') {
      this.#answer('454 4.7.0 not now')
      return
    }
    this.#answer('220 go')
    if (tls === undefined || tls === 'broken') {
      this.#socket.end('this is no TLS\r\n')
      return
    }
    const plain = this.#socket
    plain.removeAllListeners('data')
    const secure = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(tls) })
    secure.once('secure', () => this.#receiver.serverNames.push(secure.servername))
    this.#isTls = true
    this.#socket = secure
    this.#buffer = ''
    this.#listen(secure)
  }
}
