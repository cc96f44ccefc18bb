// Fuzz target: a whole server session: commands and contents as bytes, against a handler that checks the order in which
// it is called.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { ReplyReader } from '../client/reply-reader.ts'
import { smtpReply } from '../reply.ts'
import type { ContentAcceptance, MaybePromise, SmtpSessionHandler } from './handler.ts'
import { smtpServerOptions } from './options.ts'
import { serveSmtpSession } from './session.ts'

/** The wire: what is pushed is read at once, what is written is kept. */
class MemorySocket extends Duplex {
  readonly written: Buffer[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk)
    done()
  }

  setNoDelay(): void {}
}

type HandlerPhase = 'new' | 'idle' | 'mail' | 'rcpt' | 'content' | 'closed'

/** Every call of the engine, with the rules about their order (handler.ts). */
class StrictHandler {
  readonly log: string[] = []
  readonly contents: string[] = []
  readonly #isSlow: boolean
  #phase: HandlerPhase = 'new'
  pending = 0

  constructor(isSlow: boolean) {
    this.#isSlow = isSlow
  }

  #enter(call: string, from: readonly string[], to: HandlerPhase): void {
    must(from.includes(this.#phase), `${call} comes in phase ${this.#phase}`)
    this.#phase = to
    this.log.push(call)
  }

  #answer<T>(value: T): MaybePromise<T> {
    if (!this.#isSlow) return value
    this.pending++
    return new Promise(resolve =>
      setImmediate(() => {
        this.pending--
        resolve(value)
      }),
    )
  }

  #content(): ContentAcceptance {
    const chunks: Buffer[] = []
    let isOpen = true
    let isWriting = false
    const close = (how: string): void => {
      must(isOpen, `a content is ${how} once`)
      must(!isWriting || how === 'aborted', 'a content does not end while a write is running')
      isOpen = false
    }
    const sink = {
      write: (chunk: Buffer) => {
        must(isOpen && !isWriting && chunk.length > 0, 'a write comes alone, while the content is open')
        chunks.push(chunk)
        if (!this.#isSlow) return undefined
        isWriting = true
        return Promise.resolve(this.#answer(undefined)).then(() => {
          isWriting = false
        })
      },
      end: () => {
        close('ended')
        const text = Buffer.concat(chunks).toString('latin1')
        must(!/\r(?!\n)|(?<!\r)\n|\0/.test(text), 'a content has CRLF line ends only and no NUL')
        this.contents.push(text)
        return this.#answer(smtpReply(250, '2.0.0', 'Queued'))
      },
      abort: () => close('aborted'),
    }
    return { sink, bareLf: 'refuse' }
  }

  get port(): SmtpSessionHandler {
    return {
      open: () => {
        this.#enter('open', ['new'], 'idle')
        return null
      },
      authenticate: () => this.#answer(smtpReply(235, '2.7.0', 'Welcome')),
      mail: ({ localPart, domain }) => {
        // A refused MAIL is no transaction: nothing is reset after it.
        const isGood = !localPart.startsWith('bad')
        this.#enter(`mail ${localPart}@${domain}`, ['idle'], isGood ? 'mail' : 'idle')
        return this.#answer(isGood ? smtpReply(250, '2.1.0', 'OK') : smtpReply(550, '5.1.8', 'No'))
      },
      rcpt: ({ localPart, domain }) => {
        const isGood = !localPart.startsWith('bad')
        this.#enter(`rcpt ${localPart}@${domain}`, ['mail', 'rcpt'], isGood ? 'rcpt' : this.#phase)
        return this.#answer(isGood ? smtpReply(250, '2.1.5', 'OK') : smtpReply(550, '5.1.1', 'No'))
      },
      content: () => {
        this.#enter('content', ['rcpt'], 'content')
        return this.#answer(this.#content())
      },
      reset: () => this.#enter('reset', ['mail', 'rcpt', 'content'], 'idle'),
      closed: () => this.#enter('closed', ['new', 'idle', 'mail', 'rcpt', 'content'], 'closed'),
    }
  }

  get isClosed(): boolean {
    return this.#phase === 'closed'
  }
}

interface Outcome {
  readonly replies: string
  readonly contents: readonly string[]
  readonly calls: readonly string[]
  readonly reason: string
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
const options = smtpServerOptions({
  hostname: 'mx.test',
  trustsClient: () => true,
  maxSizeBytes: 2000,
  limits: {
    commandLineBytes: 120,
    authLineBytes: 200,
    rcptMax: 3,
    errorsMax: 12,
    junkCommandsMax: 12,
    mailsPerSession: 6,
  },
})
const ticker = { nowMs: 1_000, add: () => {}, delete: () => {} }

async function serve(chunks: readonly Buffer[], isSlow: boolean): Promise<Outcome> {
  const socket = new MemorySocket()
  const handler = new StrictHandler(isSlow)
  const faults: unknown[] = []
  let reason = ''
  const observer = {
    onFault: (fault: unknown) => void faults.push(fault),
    onClose: (summary: { readonly reason: string }) => {
      reason = summary.reason
    },
  }
  serveSmtpSession({ socket: socket as unknown as Socket, handler: handler.port, options, ticker, observer })
  // Nobody may talk before the greeting.
  for (let i = 0; i < 3; i++) await turn()
  for (const chunk of chunks) socket.push(chunk)
  for (let i = 0; i < 3 || handler.pending > 0; i = handler.pending > 0 ? 0 : i + 1) await turn()
  socket.push(null)
  for (let i = 0; i < 200 && !handler.isClosed; i++) await turn()
  if (faults.length > 0) throw faults[0]
  must(handler.isClosed, 'a session whose client left is closed')
  const replies = Buffer.concat(socket.written)
  return { replies: replies.toString('utf8'), contents: handler.contents, calls: handler.log, reason }
}

function checkReplies(text: string): void {
  must(/^(?:\d{3}[ -][^\r\n]*\r\n)*$/.test(text), 'what leaves is replies, whole ones')
  must(
    !/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]/.test(text),
    'replies have no control characters',
  )
  const reader = new ReplyReader()
  reader.feed(Buffer.from(text))
  while (reader.next() !== null) {}
  must(reader.fault === null && !reader.isInsideReply, 'our own client can read them')
}

/** With these a client that does not wait is cut off: what it gets depends on the timing, and should. */
const timed: ReadonlySet<string> = new Set(['pipelining', 'starttls-injection'])

export const target: FuzzTarget = {
  name: 'session',
  invariants: [
    'the handler is called in the order that it was promised; every content is ended or aborted once',
    'replies are whole, without control characters, and readable by our client; nothing throws; the session ends',
    'replies, calls and contents are the same however the bytes are split, and whether the handler is slow',
    'accepted contents have CRLF line ends only and no NUL',
  ],
  dictionary: [
    'EHLO a.test\r\n',
    'HELO a\r\n',
    'MAIL FROM:<a@b.test>\r\n',
    'RCPT TO:<c@d.test>\r\n',
    'RCPT TO:<bad@d.test>\r\n',
    'DATA\r\n',
    '\r\n.\r\n',
    'BDAT 5\r\n',
    'BDAT 0 LAST\r\n',
    'BDAT 10 LAST\r\n',
    'RSET\r\n',
    'NOOP\r\n',
    'QUIT\r\n',
    'VRFY x\r\n',
    'AUTH PLAIN\r\n',
    'STARTTLS\r\n',
    'HELP\r\n',
    ' SIZE=100',
    ' BODY=8BITMIME',
    ' SMTPUTF8',
    ' RET=HDRS',
    ' NOTIFY=NEVER',
    'GET / HTTP/1.1\r\n',
    '\x16\x03',
    '\xc3\xa9',
    '12345',
    'MAIL FROM:<bad@b.test>\r\n',
    'MAIL FROM:<>\r\n',
  ],
  seeds: [
    'EHLO a.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\n..body\r\n.\r\nQUIT\r\n',
    'EHLO a\r\nMAIL FROM:<a@b.test> SIZE=100\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<bad@d.test>\r\nBDAT 5\r\n12345BDAT 10 LAST\r\n0123456789RSET\r\n',
    'HELO a\r\nMAIL FROM:<>\r\nDATA\r\nRCPT TO:<a@b.test>\r\nDATA\r\na\nb\r\n.\r\nNOOP\r\n',
    'EHLO a\r\nMAIL FROM:<bad@b.test>\r\nBDAT 9999999\r\nQUIT\r\n',
    'VRFY\r\nHELP\r\nAUTH PLAIN\r\nSTARTTLS\r\nnonsense\r\n',
    'EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 3000 LAST\r\n',
    // The byte that begins a TLS record, inside a line whose beginning was dropped.
    `${'a'.repeat(220)}\x16\r\n`,
  ],
  inputBytesMax: 700,
  longBytesMax: 16_384,
  slowMs: 500,
  async run(input) {
    const whole = await serve([input], false)
    checkReplies(whole.replies)
    const bytewise = Array.from(input.subarray(0, 2000), (_, at) => input.subarray(at, at + 1))
    const split = await serve(
      [...bytewise, input.subarray(2000)].filter(one => one.length > 0),
      false,
    )
    checkReplies(split.replies)
    const slow = await serve([input], true)
    checkReplies(slow.replies)
    if (!timed.has(whole.reason) && !timed.has(split.reason)) assert.deepEqual(split, whole)
    if (!timed.has(whole.reason) && !timed.has(slow.reason)) assert.deepEqual(slow, whole)
  },
}
