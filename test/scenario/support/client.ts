// An SMTP client that does as it is told, well-behaved or not: for talking to a whole Postrider byte by byte.
//
// Deliberately independent of `src/protocol`: a shared bug would hide itself. Replies are read in order; what comes
// without having been asked for stays readable. Loopback only.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'

/** One reply, all its lines. */
export interface ClientReply {
  readonly code: number
  /** Text of each line after code and separator. */
  readonly lines: readonly string[]
  /** The last line as it came, without CRLF. */
  readonly text: string
}

/** How to connect. */
export interface ClientOptions {
  readonly isTls?: boolean
  /** Default 127.0.0.1. */
  readonly host?: string
  readonly localAddress?: string
  /** Written first, such as a PROXY header. */
  readonly before?: string | Buffer
}

/** A connection to a listener. */
export class SmtpClient implements AsyncDisposable {
  #socket: net.Socket
  #pending = ''
  #lines: string[] = []
  readonly #replies: ClientReply[] = []
  #waiting: ((reply: ClientReply | null) => void)[] = []
  #isClosed = false
  #whenClosed: (() => void)[] = []

  private constructor(socket: net.Socket) {
    this.#socket = socket
    this.#listen(socket)
  }

  /** Connects and reads the greeting. */
  static async connect(port: number, options: ClientOptions = {}): Promise<SmtpClient> {
    const client = await SmtpClient.open(port, options)
    await client.expect(220)
    return client
  }

  /** Connects without reading anything. */
  static async open(port: number, options: ClientOptions = {}): Promise<SmtpClient> {
    const { isTls = false, localAddress, before } = options
    const to = {
      host: options.host ?? '127.0.0.1',
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    }
    const socket = isTls ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect(to)
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        socket.off('error', reject)
        resolve()
      })
    })
    const client = new SmtpClient(socket)
    if (before !== undefined) client.write(before)
    return client
  }

  write(bytes: string | Buffer): void {
    this.#socket.write(bytes)
  }

  /** Writes and waits until the socket takes more. */
  async writeAll(bytes: string | Buffer): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed || socket.write(bytes)) return
    await new Promise<void>(resolve => {
      const goOn = (): void => {
        socket.off('drain', goOn)
        socket.off('close', goOn)
        resolve()
      }
      socket.on('drain', goOn)
      socket.on('close', goOn)
    })
  }

  /** Writes the same block until so many bytes are out or the server has closed; how many it were. */
  async writeEndless(block: Buffer, totalBytes: number): Promise<number> {
    let sent = 0
    for (; sent < totalBytes && this.#socket.writable && !this.#isClosed; sent += block.length)
      await this.writeAll(block)
    return sent
  }

  /** Lets everything that comes lie with the kernel. */
  stopReading(): void {
    this.#socket.pause()
  }

  /** The next reply; rejects when the connection ends before. */
  async reply(): Promise<ClientReply> {
    const reply = await this.replyOrEnd()
    if (reply === null) throw new Error('the connection ended before the reply came')
    return reply
  }

  /** The next reply, null when the connection ends before. */
  async replyOrEnd(): Promise<ClientReply | null> {
    const ready = this.#replies.shift()
    if (ready !== undefined) return ready
    if (this.#isClosed) return null
    return await new Promise(resolve => this.#waiting.push(resolve))
  }

  /** The next reply, which must have this code. */
  async expect(code: number): Promise<ClientReply> {
    const reply = await this.reply()
    if (reply.code !== code) throw new Error(`expected ${code}, got: ${reply.text}`)
    return reply
  }

  /** Sends one line and reads one reply. */
  command(line: string): Promise<ClientReply> {
    this.write(`${line}\r\n`)
    return this.reply()
  }

  /** True when nothing comes for so long, and nothing unread is there. */
  async isSilent(ms: number): Promise<boolean> {
    await sleep(ms)
    return this.#replies.length === 0 && this.#pending === '' && !this.#isClosed
  }

  /** EHLO and its keywords. */
  async hello(name: string = 'client.example'): Promise<readonly string[]> {
    this.write(`EHLO ${name}\r\n`)
    return (await this.expect(250)).lines.slice(1)
  }

  /** STARTTLS, handshake and a new EHLO; gives the keywords. `servername` is for checks of certificates. */
  async startTls(): Promise<readonly string[]> {
    this.write('STARTTLS\r\n')
    await this.expect(220)
    await this.handshake()
    return await this.hello()
  }

  /** The TLS handshake on the connection as it is. */
  async handshake(options: tls.ConnectionOptions = {}): Promise<void> {
    const plain = this.#socket
    for (const name of ['data', 'close', 'error']) plain.removeAllListeners(name)
    this.#pending = ''
    const secure = tls.connect({ ...options, socket: plain, rejectUnauthorized: false })
    this.#socket = secure
    await new Promise<void>((resolve, reject) => {
      secure.once('error', reject)
      secure.once('close', () => reject(new Error('closed during the handshake')))
      secure.once('secureConnect', () => {
        secure.removeAllListeners('error')
        secure.removeAllListeners('close')
        resolve()
      })
    })
    this.#listen(secure)
  }

  /** The certificate that the server showed, as PEM-less DER. */
  get peerCertificate(): Buffer {
    return (this.#socket as tls.TLSSocket).getPeerCertificate().raw
  }

  /** EHLO, STARTTLS, AUTH PLAIN: ready for MAIL. */
  async login(username: string, secret: string): Promise<void> {
    await this.hello()
    await this.startTls()
    const reply = await this.command(`AUTH PLAIN ${plainToken(username, secret)}`)
    if (reply.code !== 235) throw new Error(`login refused: ${reply.text}`)
  }

  /** MAIL, RCPT and DATA with content that is written as it is (dots are the caller's) and ended; the last reply. */
  async send(
    from: string,
    to: string | readonly string[],
    content: string | Buffer,
    parameters: { mail?: string; rcpt?: string } = {},
  ): Promise<ClientReply> {
    const mail = await this.command(`MAIL FROM:<${from}>${parameters.mail ?? ''}`)
    if (mail.code !== 250) return mail
    for (const one of typeof to === 'string' ? [to] : to) {
      const rcpt = await this.command(`RCPT TO:<${one}>${parameters.rcpt ?? ''}`)
      if (rcpt.code !== 250) return rcpt
    }
    const data = await this.command('DATA')
    if (data.code !== 354) return data
    this.write(content)
    this.write('\r\n.\r\n')
    return await this.reply()
  }

  /** MAIL, RCPT and these bytes as they are in `chunks` BDAT commands (default 1) at once; the last reply. */
  async sendChunks(
    from: string,
    to: string | readonly string[],
    content: Buffer,
    parameters: { mail?: string; chunks?: number } = {},
  ): Promise<ClientReply> {
    const mail = await this.command(`MAIL FROM:<${from}>${parameters.mail ?? ''}`)
    if (mail.code !== 250) return mail
    for (const one of typeof to === 'string' ? [to] : to) {
      const rcpt = await this.command(`RCPT TO:<${one}>`)
      if (rcpt.code !== 250) return rcpt
    }
    const { chunks = 1 } = parameters
    for (let chunk = 0; chunk < chunks; chunk++) {
      const [start, end] = [chunk, chunk + 1].map(at => Math.floor((content.length * at) / chunks))
      const part = content.subarray(start, end)
      this.write(`BDAT ${part.length}${chunk + 1 === chunks ? ' LAST' : ''}\r\n`)
      this.write(part)
    }
    for (let chunk = 1; chunk < chunks; chunk++) {
      const reply = await this.reply()
      if (reply.code !== 250) return reply
    }
    return await this.reply()
  }

  /** Resolves when the server has closed. */
  ended(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise(resolve => this.#whenClosed.push(resolve))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
  }

  #listen(socket: net.Socket): void {
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isClosed = true
      for (const waiting of this.#waiting.splice(0)) waiting(null)
      for (const closed of this.#whenClosed.splice(0)) closed()
    })
  }

  #take(text: string): void {
    this.#pending += text
    for (let end = this.#pending.indexOf('\r\n'); end >= 0; end = this.#pending.indexOf('\r\n')) {
      const line = this.#pending.slice(0, end)
      this.#pending = this.#pending.slice(end + 2)
      this.#lines.push(line.slice(4))
      if (line[3] === '-') continue
      const reply = { code: Number(line.slice(0, 3)), lines: this.#lines, text: line }
      this.#lines = []
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#replies.push(reply)
      else waiting(reply)
    }
  }
}

/** The initial response of AUTH PLAIN. */
export function plainToken(username: string, secret: string, authorizeAs: string = ''): string {
  return base64(`${authorizeAs}\0${username}\0${secret}`)
}

export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

/** The id at the end of an accepting reply; rejects any other reply. */
export function queuedId(reply: ClientReply): string {
  const id = /^250 2\.0\.0 Queued as (msg_[a-z2-7]{26})$/.exec(reply.text)?.[1]
  if (id === undefined) throw new Error(`not accepted: ${reply.text}`)
  return id
}
