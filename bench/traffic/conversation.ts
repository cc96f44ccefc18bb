/**
 * One client session of the generator. MAIL, RCPT and DATA go out together; the content follows the 354. A connection
 * that is lost, or that takes one message only, is opened again.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext } from 'node:tls'
import { domainName } from './dns.ts'

export interface ConversationOptions {
  readonly port: number
  readonly bodySizeBytes: number
  readonly recipientsPerMessage: number
  /** Recipient n goes to domain n modulo this; 0: all to `sink.test`. */
  readonly domains: number
  readonly isKept: boolean
  readonly usesTls: boolean
  readonly login: { readonly username: string; readonly password: string } | null
  readonly sender: string
  /** Each message gets a return path of its own. */
  readonly hasOwnReturnPath?: boolean
}

export interface ConversationEvents {
  readonly onIdle: () => void
  readonly onResult: (kind: 'accepted' | 'refused' | 'unknown', number: number, why: string) => void
  readonly onFailure: (error: Error) => void
  /** A handshake was made. */
  readonly onSecure?: (isResumed: boolean) => void
}

type Step = 'greeting' | 'ehlo' | 'starttls' | 'login' | 'idle' | 'envelope' | 'content' | 'quit'

const reopenMs = 100
/** One for all: making one costs more than a resumed handshake. */
const secureContext = createSecureContext({ minVersion: 'TLSv1.2' })
/** Tickets of the server by port: all sessions of the process share the newest. */
const sessions = new Map<number, Buffer>()
const bodies = new Map<number, Buffer>()

function bodyOf(sizeBytes: number): Buffer {
  let body = bodies.get(sizeBytes)
  if (body === undefined) {
    body = Buffer.from(`${'X'.repeat(78)}\r\n`.repeat(Math.max(1, Math.ceil(sizeBytes / 80))))
    bodies.set(sizeBytes, body)
  }
  return body
}

/** Opens sessions that greet, turn on TLS when they are to, and then stand there. */
export async function openIdle(options: ConversationOptions, count: number): Promise<Conversation[]> {
  const opened: Conversation[] = []
  const atOnce = 50
  for (let first = 0; first < count; first += atOnce)
    await Promise.all(
      Array.from(
        { length: Math.min(atOnce, count - first) },
        () =>
          new Promise<void>((resolve, reject) => {
            const one = new Conversation(options, {
              onIdle: resolve,
              onResult: () => {},
              onFailure: reject,
            })
            opened.push(one)
            one.open()
          }),
      ),
    )
  return opened
}

export class Conversation {
  readonly #options: ConversationOptions
  readonly #events: ConversationEvents
  #socket: Socket | null = null
  #isSecure = false
  #isClosed = false
  #rest = ''
  /** Replies still to come before the next step. */
  #awaited = 1
  #step: Step = 'greeting'
  #current = -1
  #refusal = ''
  /** The current message begins a second time, after a 421 that ended its connection before its content. */
  #isSecondTry = false

  constructor(options: ConversationOptions, events: ConversationEvents) {
    this.#options = options
    this.#events = events
  }

  open(): void {
    this.#step = 'greeting'
    this.#awaited = 1
    this.#rest = ''
    this.#isSecure = false
    this.#use(connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true }))
  }

  /** Only when idle. A connection of one message is opened for it. */
  send(number: number): void {
    this.#current = number
    this.#refusal = ''
    if (this.#socket === null) this.open()
    else this.#envelope()
  }

  close(): void {
    this.#isClosed = true
    this.#socket?.removeAllListeners('data')
    this.#socket?.end('QUIT\r\n')
  }

  #use(socket: Socket): void {
    this.#socket = socket
    socket.on('error', error => this.#lost(socket, error))
    socket.on('close', () => this.#lost(socket, new Error('the connection was closed')))
    socket.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')))
  }

  #lost(socket: Socket, error: Error): void {
    if (socket !== this.#socket || this.#isClosed) return
    this.#socket = null
    if (this.#step === 'quit') return
    // A session takes only so many messages (MAILMAX, RFC 9422): as any client would, go on in a new one.
    if (this.#step === 'envelope' && this.#refusal.startsWith('421') && !this.#isSecondTry) {
      this.#isSecondTry = true
      this.#refusal = ''
      this.open()
      return
    }
    this.#isSecondTry = false
    const number = this.#current
    this.#current = -1
    const isUnknown = this.#step === 'content'
    const wasIdle = this.#step === 'idle'
    this.#step = 'greeting'
    if (number >= 0) this.#events.onResult(isUnknown ? 'unknown' : 'refused', number, error.message)
    this.#events.onFailure(error)
    if (wasIdle) return
    setTimeout(() => {
      if (!this.#isClosed) this.#events.onIdle()
    }, reopenMs)
  }

  #secure(): void {
    const plain = this.#socket!
    plain.removeAllListeners()
    const { port } = this.#options
    const session = sessions.get(port)
    const secured = connectTls({
      socket: plain,
      secureContext,
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    })
    secured.on('session', ticket => sessions.set(port, ticket))
    this.#isSecure = true
    this.#use(secured)
    secured.once('secureConnect', () => {
      this.#events.onSecure?.(secured.isSessionReused())
      this.#hello()
    })
  }

  #hello(): void {
    this.#step = 'ehlo'
    this.#awaited = 1
    this.#socket!.write('EHLO client.example.com\r\n')
  }

  #read(text: string): void {
    this.#rest += text
    for (let end = this.#rest.indexOf('\r\n'); end >= 0; end = this.#rest.indexOf('\r\n')) {
      const line = this.#rest.slice(0, end)
      this.#rest = this.#rest.slice(end + 2)
      if (line[3] === '-') continue
      if (line[0] !== '2' && line[0] !== '3' && this.#refusal === '') this.#refusal = line
      if (--this.#awaited === 0) this.#advance()
    }
  }

  #advance(): void {
    this.#awaited = 1
    const { usesTls, login } = this.#options
    switch (this.#step) {
      case 'greeting':
        if (this.#isRefused()) return
        this.#hello()
        return
      case 'ehlo':
        if (this.#isRefused()) return
        if (usesTls && !this.#isSecure) {
          this.#step = 'starttls'
          this.#socket!.write('STARTTLS\r\n')
        } else if (login !== null) {
          this.#step = 'login'
          const proof = Buffer.from(`\0${login.username}\0${login.password}`).toString('base64')
          this.#socket!.write(`AUTH PLAIN ${proof}\r\n`)
        } else this.#ready()
        return
      case 'starttls':
        if (this.#isRefused()) return
        this.#secure()
        return
      case 'login':
        if (this.#isRefused()) return
        this.#ready()
        return
      case 'envelope':
        if (this.#refusal === '') this.#content()
        else this.#refused()
        return
      case 'content':
        if (this.#refusal === '') this.#accepted()
        else this.#refused()
        return
      default:
        return
    }
  }

  /** Before a message can be sent: the connection is of no use. */
  #isRefused(): boolean {
    if (this.#refusal === '') return false
    const socket = this.#socket!
    const error = new Error(`the server said: ${this.#refusal}`)
    this.#lost(socket, error)
    socket.destroy()
    return true
  }

  #ready(): void {
    this.#step = 'idle'
    if (this.#current >= 0) this.#envelope()
    else this.#events.onIdle()
  }

  #envelope(): void {
    this.#step = 'envelope'
    const { recipientsPerMessage: recipients, domains, sender, hasOwnReturnPath } = this.#options
    const returnPath = hasOwnReturnPath === true ? sender.replace('@', `+${this.#current}@`) : sender
    let text = `MAIL FROM:<${returnPath}>\r\n`
    for (let index = 0; index < recipients; index++) {
      const number = this.#current * recipients + index
      const domain = domains === 0 ? 'sink.test' : domainName(number % domains)
      text += `RCPT TO:<${number}@${domain}>\r\n`
    }
    this.#awaited = recipients + 2
    this.#socket!.write(`${text}DATA\r\n`)
  }

  #content(): void {
    this.#step = 'content'
    const socket = this.#socket!
    const { sender, bodySizeBytes } = this.#options
    socket.cork()
    socket.write(
      `From: <${sender}>\r\nTo: <${this.#current}@sink.test>\r\nSubject: ${this.#current}\r\n` +
        `Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${this.#current}@example.com>\r\n\r\n`,
    )
    socket.write(bodyOf(bodySizeBytes))
    socket.write('.\r\n')
    socket.uncork()
  }

  #refused(): void {
    const number = this.#current
    const why = `the server said: ${this.#refusal}`
    // After a DATA that was accepted for some recipients the content would have to follow: start anew instead.
    const socket = this.#socket!
    this.#step = 'quit'
    this.#socket = null
    this.#refusal = ''
    this.#current = -1
    this.#isSecondTry = false
    socket.destroy()
    this.#events.onResult('refused', number, why)
    setTimeout(() => {
      if (!this.#isClosed) this.#events.onIdle()
    }, reopenMs)
  }

  #accepted(): void {
    const number = this.#current
    this.#current = -1
    this.#isSecondTry = false
    if (!this.#options.isKept) {
      this.#step = 'quit'
      const socket = this.#socket!
      this.#socket = null
      // Its last reply is not the greeting of the next one.
      socket.removeAllListeners('data')
      socket.resume()
      socket.end('QUIT\r\n')
    } else this.#step = 'idle'
    this.#events.onResult('accepted', number, '')
    if (!this.#isClosed) this.#events.onIdle()
  }
}
