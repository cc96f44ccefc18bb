// One connection to a peer: the socket, its TLS layer, the reply reader and the deadline of what is awaited.
//
// Place on the path: below handshake and session, which are its users in turn. It knows no command.
// Invariants: `onEnd` is called exactly once, and nothing after it; bytes that nobody awaits never reach a user as an
// answer to something sent later (the users check `bytesAhead`); all writes of one turn of the event loop leave in one
// system call, in order (outbox.ts); one deadline is armed at a time, looked at by the shared ticker.

import type { OnReadOpts, Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { SmtpReply } from '../reply.ts'
import { boundTlsWork } from '../tls-work.ts'
import type { Outbox, OutboxMember } from './outbox.ts'
import { type ReplyFault, type ReplyLimits, ReplyReader } from './reply-reader.ts'
import type { SmtpTicker, SmtpTicking } from './ticker.ts'

/** Why a connection is over. */
export interface ConnectionEnd {
  readonly kind:
    | 'closed' // the peer closed without a word
    | 'said-goodbye' // the peer sent 421, see `reply`
    | 'error' // the system's or TLS's word in `code`
    | 'timeout'
    | 'protocol' // the peer did not speak SMTP, or spoke out of turn
    | 'content' // we cut it: the content could not be sent to its end
    | 'aged' // older than `sessionMs`
    | 'aborted' // the caller's signal
    | 'finished' // QUIT or destroy by the caller
  /** Stable word: `ECONNRESET`, `TIMEOUT_EOM`, `EARLY_REPLY` and so on. */
  readonly code: string
  /** A sentence for the operator. */
  readonly message: string
  readonly reply?: SmtpReply
}

/** Who reads the replies: the handshake first, the session after it. */
export interface WireUser {
  onReply(reply: SmtpReply): void
  onEnd(end: ConnectionEnd): void
  onTick(nowMs: number): void
}

const faultTexts: Readonly<Record<ReplyFault, string>> = {
  'bad-line': 'the peer sent a line that is not an SMTP reply',
  'too-many-lines': 'the peer sent a reply of more lines than we read',
  'too-long': 'the peer sent a longer reply than we read',
}

const NOT_STARTED = -1
/** Pieces up to this in all are copied into one buffer: cheaper than a gathering write. */
const JOINED_BYTES_MAX = 16_384

/** Owns one socket. */
export class SmtpWire implements SmtpTicking, OutboxMember {
  readonly #ticker: SmtpTicker
  readonly #outbox: Outbox
  readonly #reader: ReplyReader
  #socket: Socket
  #user: WireUser
  #end: ConnectionEnd | null = null
  #stage: string | null = null
  #timeoutMs = 0
  #blockMs = 0
  #startedMs = NOT_STARTED
  #backlogBytes = 0
  #onDrained: (() => void) | null = null
  /** Queued since the last sending: commands as text, contents as bytes. */
  #output: (string | Uint8Array)[] = []
  #isUtf8 = false

  constructor(
    dial: (onread: OnReadOpts) => Socket,
    options: { ticker: SmtpTicker; outbox: Outbox; limits: ReplyLimits; readBuffer: Buffer; user: WireUser },
  ) {
    this.#ticker = options.ticker
    this.#outbox = options.outbox
    this.#reader = new ReplyReader(options.limits)
    this.#user = options.user
    this.#socket = dial({
      buffer: options.readBuffer,
      callback: (count, buffer) => {
        this.#receive(Buffer.from(buffer.buffer, buffer.byteOffset, count))
        return true
      },
    })
    this.#attach(this.#socket)
    this.#socket.setNoDelay(true)
    this.#ticker.add(this)
  }

  get socket(): Socket {
    return this.#socket
  }

  /** Null while the connection lives. */
  get end(): ConnectionEnd | null {
    return this.#end
  }

  /** Bytes already read behind the reply being handled: they answer nothing we have sent alone. */
  get bytesAhead(): number {
    return this.#reader.bytesAhead
  }

  use(user: WireUser): void {
    this.#user = user
  }

  /** Starts the deadline of what is awaited now; `stage` names it. */
  arm(stage: string, timeoutMs: number): void {
    this.#stage = stage
    this.#timeoutMs = timeoutMs
    this.#blockMs = 0
    this.#startedMs = NOT_STARTED
  }

  /** As `arm`, but while bytes are on their way out the time runs from the last progress and is `blockMs`. */
  armSending(stage: string, blockMs: number, timeoutMs: number): void {
    this.arm(stage, timeoutMs)
    this.#blockMs = blockMs
  }

  disarm(): void {
    this.#stage = null
  }

  /** Queues a command. Its characters are octets (`latin1`), or UTF-8 where SMTPUTF8 asks for it. */
  write(text: string, encoding: 'latin1' | 'utf8'): void {
    if (this.#end !== null) return
    if (encoding === 'utf8') this.#isUtf8 = true
    this.#queue(text)
  }

  /** Queues bytes of a content, which must not change until they are sent. */
  writeBytes(bytes: Uint8Array): void {
    if (this.#end === null) this.#queue(bytes)
  }

  #queue(piece: string | Uint8Array): void {
    if (this.#output.length === 0) this.#outbox.add(this)
    this.#output.push(piece)
  }

  /** Sends what is queued, in one piece: the outbox calls it at the end of the turn. */
  send(): void {
    const output = this.#output
    if (output.length === 0 || this.#end !== null) return
    const encoding = this.#isUtf8 ? 'utf8' : 'latin1'
    this.#output = []
    this.#isUtf8 = false
    const socket = this.#socket
    const [first] = output
    if (output.length === 1) {
      if (typeof first === 'string') socket.write(first, encoding)
      else socket.write(first!)
      return
    }
    const joined = joinedBytes(output, encoding)
    if (joined !== null) {
      socket.write(joined)
      return
    }
    socket.cork()
    for (const piece of output) {
      if (typeof piece === 'string') socket.write(piece, encoding)
      else socket.write(piece)
    }
    socket.uncork()
  }

  #sendNow(): void {
    if (this.#output.length === 0) return
    this.#outbox.prepare()
    this.send()
  }

  /** Settles when the socket takes bytes again or the connection is over. One waiter at a time. */
  drained(): Promise<void> {
    this.#sendNow()
    if (this.#end !== null || !this.#socket.writableNeedDrain) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onDrained = resolve
    return promise
  }

  /** Wraps the connection in TLS; `onSecure` is called after the handshake, a failure ends the connection. */
  startTls(options: ConnectionOptions, onSecure: (socket: TLSSocket) => void): void {
    this.#sendNow()
    const plain = this.#socket
    plain.removeAllListeners('data')
    plain.removeAllListeners('end')
    plain.removeAllListeners('close')
    const secure = tlsConnect({ ...options, socket: plain })
    this.#socket = secure
    this.#attach(secure)
    boundTlsWork(secure, () => this.finish(churnedEnd))
    secure.once('secureConnect', () => {
      if (this.#end === null) onSecure(secure)
    })
  }

  tick(nowMs: number): void {
    if (this.#end !== null) return
    this.#user.onTick(nowMs)
    if (this.#stage === null || this.#end !== null) return
    const backlogBytes = this.#blockMs > 0 ? this.#socket.writableLength : 0
    if (this.#startedMs === NOT_STARTED || backlogBytes !== this.#backlogBytes) {
      this.#startedMs = nowMs
      this.#backlogBytes = backlogBytes
    } else if (nowMs - this.#startedMs >= (backlogBytes > 0 ? this.#blockMs : this.#timeoutMs)) {
      this.finish(timeoutEnd(this.#stage))
    }
  }

  /** Ends the connection for the reason given; the first reason stays. */
  finish(end: ConnectionEnd): void {
    if (this.#end !== null) return
    // A content that is cut off must not get its end of data, whatever is queued behind it. And OpenSSL, which is just
    // reading when it tells of too much work, must not be made to write.
    if (end.kind !== 'content' && end !== churnedEnd) this.#sendNow()
    this.#end = end
    this.#output = []
    this.#ticker.delete(this)
    this.#socket.destroy()
    this.#onDrained?.()
    this.#user.onEnd(end)
  }

  #attach(socket: Socket): void {
    // The error listener stays for good: an error without a listener would end the process.
    socket.on('error', (error: Error & { code?: string }) => {
      this.finish({ kind: 'error', code: error.code ?? 'SOCKET_ERROR', message: error.message })
    })
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => this.#closed())
    socket.on('close', () => this.#closed())
    socket.on('drain', () => {
      const resolve = this.#onDrained
      this.#onDrained = null
      resolve?.()
    })
  }

  #closed(): void {
    const stage = this.#stage === null ? 'while idle' : `while we waited in stage ${this.#stage}`
    this.finish({ kind: 'closed', code: 'CLOSED', message: `the peer closed the connection ${stage}` })
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== null) return
    const reader = this.#reader
    reader.feed(chunk)
    for (let reply = reader.next(); reply !== null; reply = reader.next()) {
      this.#user.onReply(reply)
      if (this.#end !== null) return
    }
    if (reader.fault !== null) {
      this.finish({ kind: 'protocol', code: 'MALFORMED_REPLY', message: faultTexts[reader.fault] })
    } else if (this.#stage === null && reader.isInsideReply) {
      this.finish({ kind: 'protocol', code: 'EARLY_REPLY', message: 'the peer spoke without being asked' })
    }
  }
}

const churnedEnd: ConnectionEnd = {
  kind: 'protocol',
  code: 'TLS_CHURN',
  message: 'the peer changed keys, handed out tickets or asked to negotiate again without end',
}

function timeoutEnd(stage: string): ConnectionEnd {
  return {
    kind: 'timeout',
    code: `TIMEOUT_${stage.toUpperCase()}`,
    message: `the peer did not answer in time in stage ${stage}`,
  }
}

/** The pieces in one buffer, or null when they are too much to copy. */
function joinedBytes(pieces: readonly (string | Uint8Array)[], encoding: 'latin1' | 'utf8'): Buffer | null {
  let sizeBytes = 0
  for (const piece of pieces)
    sizeBytes += typeof piece === 'string' && encoding === 'utf8' ? Buffer.byteLength(piece) : piece.length
  if (sizeBytes > JOINED_BYTES_MAX) return null
  const joined = Buffer.allocUnsafe(sizeBytes)
  let at = 0
  for (const piece of pieces) {
    if (typeof piece === 'string') at += joined.write(piece, at, encoding)
    else {
      joined.set(piece, at)
      at += piece.length
    }
  }
  return joined
}
