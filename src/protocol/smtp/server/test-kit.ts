// For the tests of this folder: a listener on loopback, a handler that records, a client that reads replies, and a
// clock that moves when told. Everything goes over real sockets; the handler is a client of the engine.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { type SmtpReply, smtpReply } from '../reply.ts'
import type {
  ContentFacts,
  ContentSink,
  MailParameters,
  RcptParameters,
  SmtpPath,
  SmtpSessionHandler,
} from './handler.ts'
import type { SmtpSessionSummary } from './observer.ts'
import { type SmtpServerOptions, smtpServerOptions } from './options.ts'
import { type SmtpServerSession, serveSmtpSession } from './session.ts'
import type { Ticker, Ticking } from './ticker.ts'

/** A clock that stands still until `advance`. */
export class ManualTicker implements Ticker {
  nowMs = 1_000_000
  readonly #members = new Set<Ticking>()

  add(ticking: Ticking): void {
    this.#members.add(ticking)
  }

  delete(ticking: Ticking): void {
    this.#members.delete(ticking)
  }

  get size(): number {
    return this.#members.size
  }

  advance(ms: number): void {
    this.nowMs += ms
    for (const member of this.#members) member.tick(this.nowMs)
  }
}

/** One content that reached its end. */
export interface RecordedContent {
  readonly text: string
  readonly facts: ContentFacts
  readonly reversePath: SmtpPath
  readonly mailParameters: MailParameters
  readonly recipients: readonly { readonly path: SmtpPath; readonly parameters: RcptParameters }[]
}

/** What one or more sessions did, and how the handler answers. */
export class Recorder {
  readonly contents: RecordedContent[] = []
  readonly calls: string[] = []
  readonly credentials: string[] = []
  readonly summaries: SmtpSessionSummary[] = []
  readonly faults: string[] = []
  aborts = 0
  closed = 0
  bareLf: 'refuse' | 'mend' = 'refuse'
  /** Changes answers: methods given here replace those below. */
  answers: Partial<SmtpSessionHandler> = {}
  /** Told of each reply as the session makes it. */
  replied: (code: number, session: SmtpServerSession) => void = () => {}
  /** Makes `sink.write` and `sink.end` answer later. */
  isSlow = false

  handler(): SmtpSessionHandler {
    let reversePath: SmtpPath = { localPart: '', domain: '', isUtf8: false }
    let mailParameters: MailParameters = { body: '7bit', isSmtpUtf8: false }
    let recipients: { path: SmtpPath; parameters: RcptParameters }[] = []
    const later = async <T>(value: T): Promise<T> => {
      await new Promise(resolve => setImmediate(resolve))
      return value
    }
    const now = <T>(value: T): T | Promise<T> => (this.isSlow ? later(value) : value)
    return {
      open: () => null,
      authenticate: c => {
        this.credentials.push(`${c.mechanism}|${c.authorizationId}|${c.username}|${c.password}`)
        return now(
          c.password === 'secret' ? smtpReply(235, '2.7.0', 'Welcome') : smtpReply(535, '5.7.8', 'No'),
        )
      },
      mail: (path, parameters) => {
        this.calls.push(`mail ${path.localPart}@${path.domain}`)
        reversePath = path
        mailParameters = parameters
        recipients = []
        return now(smtpReply(250, '2.1.0', 'Sender OK'))
      },
      rcpt: (path, parameters) => {
        this.calls.push(`rcpt ${path.localPart}@${path.domain}`)
        if (path.localPart.startsWith('bad')) return now(smtpReply(550, '5.1.1', 'No such recipient'))
        recipients.push({ path, parameters })
        return now(smtpReply(250, '2.1.5', 'Recipient OK'))
      },
      content: () => {
        this.calls.push('content')
        const chunks: Buffer[] = []
        return now({
          bareLf: this.bareLf,
          sink: {
            write: (chunk: Buffer) => {
              chunks.push(chunk)
              return now(undefined)
            },
            end: (facts: ContentFacts) => {
              const text = Buffer.concat(chunks).toString('latin1')
              this.contents.push({ text, facts, reversePath, mailParameters, recipients })
              return now(smtpReply(250, '2.0.0', `Queued as msg_${this.contents.length}`))
            },
            abort: () => void this.aborts++,
          },
        })
      },
      reset: () => void this.calls.push('reset'),
      closed: () => void this.closed++,
      ...this.answers,
    }
  }
}

/** A sink that takes the next bytes only when it is let go. */
export class SlowSink implements ContentSink {
  writes = 0
  bytes = 0
  #release: () => void = () => {}

  write(chunk: Buffer): Promise<void> {
    this.writes++
    this.bytes += chunk.length
    return new Promise(resolve => {
      this.#release = resolve
    })
  }

  release(): void {
    this.#release()
  }

  end(): SmtpReply {
    return smtpReply(250, '2.0.0', 'OK')
  }

  abort(): void {}
}

/** A self-signed certificate for tests. */
export function makeSecureContext(): tls.SecureContext {
  const folder = mkdtempSync(join(tmpdir(), 'smtp-server-test-'))
  const key = join(folder, 'key.pem')
  const cert = join(folder, 'cert.pem')
  try {
    const subject = ['-subj', '/CN=mx.test', '-days', '2']
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    })
    return tls.createSecureContext({
      key: readFileSync(key),
      cert: readFileSync(cert),
      minVersion: 'TLSv1.2',
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A listener on 127.0.0.1 with its recorder and clock. */
export class TestServer implements AsyncDisposable {
  readonly recorder: Recorder = new Recorder()
  readonly ticker: ManualTicker = new ManualTicker()
  readonly sessions: SmtpServerSession[] = []
  readonly #server: net.Server
  readonly #clients: TestClient[] = []

  private constructor(options: SmtpServerOptions) {
    this.#server = net.createServer(socket => {
      const { recorder, ticker } = this
      let session: SmtpServerSession | null = null
      session = serveSmtpSession({
        socket,
        options,
        ticker,
        handler: recorder.handler(),
        observer: {
          onReply: code => {
            if (session !== null) recorder.replied(code, session)
          },
          onClose: summary => recorder.summaries.push(summary),
          onFault: (fault, during) => recorder.faults.push(`${during}: ${String(fault)}`),
        },
      })
      this.sessions.push(session)
    })
  }

  static async start(given: Parameters<typeof smtpServerOptions>[0] | object = {}): Promise<TestServer> {
    const server = new TestServer(smtpServerOptions({ hostname: 'mx.test', ...given }))
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  /** Why the first session ended, once it has. */
  async closeReason(): Promise<string | undefined> {
    await until(() => this.recorder.summaries.length > 0)
    return this.recorder.summaries[0]?.reason
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** A connection on which nothing was read or sent. */
  connectRaw(): TestClient {
    const client = new TestClient(net.connect(this.port, '127.0.0.1'))
    this.#clients.push(client)
    return client
  }

  /** A connection after the greeting. */
  async connect(): Promise<TestClient> {
    const client = this.connectRaw()
    await client.reply()
    return client
  }

  /** A connection after EHLO. */
  async greeted(): Promise<TestClient> {
    const client = await this.connect()
    await client.talk('EHLO client.test')
    return client
  }

  /** A connection in a transaction with one recipient, before DATA or BDAT. */
  async inTransaction(): Promise<TestClient> {
    const client = await this.greeted()
    await client.talk('MAIL FROM:<a@sender.test>')
    await client.talk('RCPT TO:<b@rcpt.test>')
    return client
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy()
    for (const session of this.sessions) session.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** A client that reads whole replies. */
export class TestClient {
  socket: net.Socket
  #text = ''
  #isClosed = false
  #wake: () => void = () => {}
  /** Every reply read, as text. */
  readonly transcript: string[] = []

  constructor(socket: net.Socket) {
    this.socket = socket
    this.#listen()
  }

  #listen(): void {
    this.socket.on('data', chunk => {
      this.#text += chunk.toString('utf8')
      this.#wake()
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes)
  }

  /** Sends in pieces that arrive as separate reads. */
  async sendInPieces(pieces: readonly Buffer[]): Promise<void> {
    this.socket.setNoDelay(true)
    for (const piece of pieces) {
      if (this.socket.destroyed) return
      this.socket.write(piece)
      await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    }
  }

  /** The next reply, without the last CRLF; null when the connection was closed before it. */
  async replyOrNull(): Promise<string | null> {
    for (;;) {
      const found = /^(?:\d\d\d-[^\r\n]*\r\n)*\d\d\d [^\r\n]*\r\n/.exec(this.#text)
      if (found !== null) {
        this.#text = this.#text.slice(found[0].length)
        const reply = found[0].slice(0, -2)
        this.transcript.push(reply)
        return reply
      }
      if (this.#isClosed) return null
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  async reply(): Promise<string> {
    const reply = await this.replyOrNull()
    if (reply === null) throw new Error(`closed instead of a reply; left: ${JSON.stringify(this.#text)}`)
    return reply
  }

  async replies(count: number): Promise<string[]> {
    const found: string[] = []
    for (let i = 0; i < count; i++) found.push(await this.reply())
    return found
  }

  /** Sends one line and returns its reply. */
  async talk(line: string): Promise<string> {
    this.send(`${line}\r\n`)
    return await this.reply()
  }

  /** Everything up to the close: the replies, and what was no reply. */
  async untilClosed(): Promise<{ replies: string[]; rest: string }> {
    const replies: string[] = []
    for (;;) {
      const reply = await this.replyOrNull()
      if (reply === null) return { replies, rest: this.#text }
      replies.push(reply)
    }
  }

  /** Changes to TLS; the server must be ready for the handshake. */
  async startTls(): Promise<void> {
    this.socket.removeAllListeners()
    this.socket.on('error', () => {})
    this.socket = tls.connect({ socket: this.socket, rejectUnauthorized: false, servername: 'mx.test' })
    this.#listen()
    await once(this.socket, 'secureConnect')
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** A code and enhanced code of a reply, for short assertions. */
export const codes = (reply: string): string => {
  const [, code = '', enhanced = ''] = /^(\d\d\d)[ -](\d\.\d+\.\d+)?/.exec(reply) ?? []
  return enhanced === '' ? code : `${code} ${enhanced}`
}

/** Waits until `isTrue` without looking at the clock of the wall. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(resolve => setImmediate(resolve))
}
