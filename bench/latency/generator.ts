/**
 * The load of latency runs: an open-loop generator over kept SMTP connections. Messages fall due at an even
 * rate whether or not earlier ones were answered, and a message waits from the moment it is due, so a server
 * that stalls cannot hide the stall by slowing the load down.
 */
import { connect, type Socket } from 'node:net'

export interface GeneratorOptions {
  readonly port: number
  readonly connections: number
  readonly ratePerSecond: number
  readonly messages: number
  readonly bodySizeBytes: number
}

export interface GeneratorResult {
  /** Per message: when it was due, and when its final 250 was read (`process.hrtime`, ms). */
  readonly dueMs: Float64Array
  readonly acceptedMs: Float64Array
  /** Messages a second actually sent. */
  readonly achievedRate: number
}

export function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** Send all messages and wait for all final replies. Rejects at the first reply that is not 2xx or 354. */
export async function generate(options: GeneratorOptions): Promise<GeneratorResult> {
  const dueMs = new Float64Array(options.messages)
  const acceptedMs = new Float64Array(options.messages)
  const body = Buffer.from(`${'X'.repeat(78)}\r\n`.repeat(Math.ceil(options.bodySizeBytes / 80)))
  const idle: Session[] = []
  const sessions: Session[] = []
  let started = 0
  let finished = 0
  const startMs = nowMs()
  await new Promise<void>((resolve, reject) => {
    const dispatch = (): void => {
      const now = nowMs()
      const due = Math.min(options.messages, Math.floor(((now - startMs) * options.ratePerSecond) / 1000))
      while (started < due) {
        const session = idle.pop()
        if (session === undefined) return
        dueMs[started] = startMs + (started * 1000) / options.ratePerSecond
        session.send(started++, body)
      }
    }
    const timer = setInterval(dispatch, 1)
    const end = (error?: Error): void => {
      clearInterval(timer)
      for (const session of sessions) session.close()
      if (error === undefined) resolve()
      else reject(error)
    }
    for (let index = 0; index < options.connections; index++) {
      const session: Session = new Session(options.port, {
        onIdle: () => {
          idle.push(session)
          dispatch()
        },
        onAccepted: number => {
          acceptedMs[number] = nowMs()
          finished++
          if (finished === options.messages) end()
        },
        onFailure: end,
      })
      sessions.push(session)
    }
  })
  return { dueMs, acceptedMs, achievedRate: (options.messages / (nowMs() - startMs)) * 1000 }
}

interface SessionEvents {
  readonly onIdle: () => void
  readonly onAccepted: (number: number) => void
  readonly onFailure: (error: Error) => void
}

/** One kept connection. MAIL, RCPT and DATA go out together; the content follows the 354. */
class Session {
  readonly #socket: Socket
  readonly #events: SessionEvents
  #rest = ''
  /** Replies still to come before the next step: greeting, EHLO, (MAIL, RCPT, DATA), final. */
  #awaited = 1
  #step: 'greeting' | 'ehlo' | 'envelope' | 'content' = 'greeting'
  #current = 0
  #body: Buffer = Buffer.alloc(0)

  constructor(port: number, events: SessionEvents) {
    this.#events = events
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('error', error => events.onFailure(error))
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')))
  }

  send(number: number, body: Buffer): void {
    this.#current = number
    this.#body = body
    this.#step = 'envelope'
    this.#awaited = 3
    this.#socket.write(`MAIL FROM:<sender@example.com>\r\nRCPT TO:<${number}@sink.test>\r\nDATA\r\n`)
  }

  close(): void {
    this.#socket.removeAllListeners('data')
    this.#socket.end('QUIT\r\n')
  }

  #read(text: string): void {
    this.#rest += text
    for (let end = this.#rest.indexOf('\r\n'); end >= 0; end = this.#rest.indexOf('\r\n')) {
      const line = this.#rest.slice(0, end)
      this.#rest = this.#rest.slice(end + 2)
      if (line[3] === '-') continue
      if (line[0] !== '2' && line[0] !== '3') {
        this.#events.onFailure(new Error(`the server said: ${line}`))
        return
      }
      if (--this.#awaited === 0) this.#advance()
    }
  }

  #advance(): void {
    this.#awaited = 1
    if (this.#step === 'greeting') {
      this.#step = 'ehlo'
      this.#socket.write('EHLO client.example.com\r\n')
    } else if (this.#step === 'envelope') {
      this.#step = 'content'
      this.#socket.cork()
      this.#socket.write(
        `From: <sender@example.com>\r\nTo: <${this.#current}@sink.test>\r\nSubject: ${this.#current}\r\n` +
          `Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${this.#current}@example.com>\r\n\r\n`,
      )
      this.#socket.write(this.#body)
      this.#socket.write('.\r\n')
      this.#socket.uncork()
    } else {
      if (this.#step === 'content') this.#events.onAccepted(this.#current)
      this.#events.onIdle()
    }
  }
}
