// The socket of a session: reading, back-pressure, coalesced writing, the change to TLS, closing.
//
// Everything queued since the last flush leaves in one write. The peer's FIN does not end our side: replies that
// are still due go out first. After `startTls` nothing read before can surface any more.
//
// TLS begins with the client's first bytes, which are handed to it and not left for it to read: Node's TLS takes 64 KiB
// of memory for its first read and keeps it as long as the connection lives, but for bytes that it is given as much as they
// are (decision 0034). A client that never begins costs no TLS at all.

import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { boundTlsWork } from '../tls-work.ts'

const isAscii = /^[\x00-\x7f]*$/

/** Reads of a socket that go into memory which is used again: where to send them. */
export interface BorrowedReads {
  receive: ((chunk: Buffer) => void) | null
}

/** What the wire tells its session. */
export interface WireEvents {
  /** `isBorrowed`: the chunk's memory is used again once this returns. */
  bytes(chunk: Buffer, isBorrowed: boolean): void
  /** The peer does not read as fast as we write: `isFull` is set. */
  filled(): void
  /** The output buffer is empty again after `isFull`. */
  drained(): void
  /** The peer sends nothing more. */
  ended(): void
  /** The client makes TLS work without end, and says nothing in it. */
  churned(): void
  /** The connection is gone; called once. */
  closed(): void
}

/** The TLS facts of a finished handshake, or why it failed; `fault` when it was not the client. */
export type HandshakeResult =
  | { readonly ok: true; readonly protocol: string; readonly cipher: string }
  | { readonly ok: false; readonly error: string; readonly fault?: unknown }

/** A session's connection. */
export class Wire {
  #socket: Socket
  readonly #events: WireEvents
  /** Null: the socket gives `data` events. */
  #reads: BorrowedReads | null
  #output = ''
  #isPaused = false
  #isListening = false
  #isClosed = false
  /** TLS is to begin with the client's next bytes; null: the connection is gone. */
  #tlsDue: ((first: Buffer | null) => void) | null = null
  isFull = false

  constructor(socket: Socket, reads: BorrowedReads | null, events: WireEvents) {
    this.#socket = socket
    this.#reads = reads
    this.#events = events
    socket.setNoDelay(true)
    this.#guard(socket)
  }

  /** Begins to read; a second call does nothing until TLS has replaced the socket. */
  listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    if (this.#reads === null) this.#socket.on('data', this.#onData)
    else this.#reads.receive = chunk => this.#received(chunk, true)
    this.#socket.on('end', this.#onEnd)
  }

  queue(text: string): void {
    this.#output += text
  }

  /** Writes what is queued, in one piece. */
  flush(): void {
    if (this.#output === '' || this.#isClosed) return
    const text = this.#output
    this.#output = ''
    // Replies are ASCII but for a few UTF-8 texts; one octet a character is the cheaper way out.
    const encoding = isAscii.test(text) ? 'latin1' : 'utf8'
    if (!this.#socket.writable || this.#socket.write(text, encoding)) return
    this.isFull = true
    this.#events.filled()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /**
   * The client has said goodbye and waits for nothing but the last reply: closes without the dance of half-closed
   * sockets where that cannot lose it (everything is with the kernel, nothing is left unread, no TLS to end).
   */
  close(): void {
    this.flush()
    const socket = this.#socket
    if (socket instanceof TLSSocket || socket.writableLength > 0) this.end()
    else socket.destroy()
  }

  /** Ends our side once everything queued is written. */
  end(): void {
    this.flush()
    this.#socket.end()
    this.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /**
   * Wraps the socket in TLS as server, once the client begins. `received` are bytes of its handshake that were read
   * already (behind a PROXY header). `done` is called once; after a failure `closed` follows.
   */
  startTls(context: SecureContext, received: Buffer | null, done: (result: HandshakeResult) => void): void {
    this.flush()
    const begin = (first: Buffer | null): void => {
      this.#tlsDue = null
      if (first === null) done(leftEarly)
      else this.#secure(context, first, done)
    }
    if (received !== null && received.length > 0) {
      begin(received)
      return
    }
    this.#tlsDue = begin
    this.listen()
    this.resume()
  }

  #secure(context: SecureContext, first: Buffer, done: (result: HandshakeResult) => void): void {
    const plain = this.#socket
    this.#detach(plain)
    this.#reads = null
    this.#isListening = false
    plain.pause()
    plain.unshift(first)
    let secure: TLSSocket
    try {
      secure = new TLSSocket(plain, { isServer: true, secureContext: context, requestCert: false })
    } catch (fault) {
      // The plain socket stays ours, and its end must be heard.
      plain.on('close', this.#onClose)
      done({ ok: false, error: errorCode(fault), fault })
      return
    }
    this.#socket = secure
    this.#isPaused = false
    this.isFull = false
    let isDone = false
    const finish = (result: HandshakeResult): void => {
      if (isDone) return
      isDone = true
      done(result)
    }
    secure.once('secure', () => {
      const cipher = secure.getCipher()
      finish({ ok: true, protocol: secure.getProtocol() ?? 'TLS', cipher: cipher?.standardName ?? 'unknown' })
    })
    boundTlsWork(secure, () => this.#events.churned())
    const fail = (error: unknown): void => {
      finish({ ok: false, error: errorCode(error) })
      secure.destroy()
    }
    // Before the handshake is over, errors of a hand-made server socket come under this private name only.
    secure.on('_tlsError', fail)
    secure.on('error', fail)
    secure.once('close', () => finish(leftEarly))
    // Half-open sockets do not close by themselves when the client leaves in the middle.
    secure.once('end', () => {
      if (!isDone) fail(null)
    })
    this.#guard(secure)
  }

  #guard(socket: Socket): void {
    // We end our side ourselves, after the last reply.
    socket.allowHalfOpen = true
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('drain', this.#onDrain)
  }

  #detach(socket: Socket): void {
    if (this.#reads !== null) this.#reads.receive = null
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('drain', this.#onDrain)
  }

  readonly #onError = (): void => {
    // The close event follows and tells all the session needs.
  }

  readonly #onData = (chunk: Buffer): void => this.#received(chunk, false)

  #received(chunk: Buffer, isBorrowed: boolean): void {
    if (this.#tlsDue === null) this.#events.bytes(chunk, isBorrowed)
    else this.#tlsDue(isBorrowed ? Buffer.from(chunk) : chunk)
  }

  readonly #onEnd = (): void => {
    if (this.#tlsDue === null) this.#events.ended()
    else this.#tlsDue(null)
  }

  readonly #onDrain = (): void => {
    if (!this.isFull) return
    this.isFull = false
    this.#events.drained()
  }

  readonly #onClose = (): void => {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#tlsDue?.(null)
    this.#events.closed()
  }
}

const leftEarly: HandshakeResult = { ok: false, error: 'ECONNRESET' }

function errorCode(error: unknown): string {
  if (error === null) return 'ECONNRESET'
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'ERR_TLS'
}
