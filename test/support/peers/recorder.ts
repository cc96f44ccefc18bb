/**
 * The far end of every receiver under test: a plain SMTP server that keeps what it is given.
 * Postfix, Exim and OpenSMTPD are configured to hand on all they accept to a recorder of their own, which
 * is the only way to read back from all three the exact envelope, its DSN parameters and the exact bytes
 * (mailboxes lose line ends and parameters).
 *
 * Deliberately independent of `src/protocol`: a shared bug would hide itself. Not hardened: loopback only.
 */
import { createServer, type Server, type Socket } from 'node:net'

/** One mail as it came out at the far end of a receiver. */
export interface ReceivedMail {
  /** Without angle brackets; empty for the null reverse-path. */
  readonly envelopeFrom: string
  /** What stood after the MAIL path, as written (`BODY=8BITMIME RET=HDRS`). */
  readonly mailParameters: string
  readonly rcptTo: readonly string[]
  /** One string a recipient, same order as `rcptTo`. */
  readonly rcptParameters: readonly string[]
  /** Content with CRLF line ends, without the trace header that the receiver itself put in front. */
  readonly bytes: Buffer
  /** The trace header the receiver put in front, with its CRLF; empty when there was none. */
  readonly trace: Buffer
}

type Draft = { from: string; fromParameters: string; to: string[]; toParameters: string[] }

const crlf = Buffer.from('\r\n')
const endOfData = Buffer.from('\r\n.\r\n')

export class Recorder implements AsyncDisposable {
  readonly #server: Server
  readonly #mails: ReceivedMail[] = []
  readonly #sockets = new Set<Socket>()
  #waiting: Array<{ count: number; resolve: () => void }> = []

  /** Recipients that were put off; undefined when nobody is. */
  readonly #putOff: Set<string> | undefined

  constructor(options: { readonly putsOffOnce?: boolean } = {}) {
    this.#putOff = options.putsOffOnce === true ? new Set() : undefined
    this.#server = createServer(socket => this.#converse(socket))
  }

  /**
   * Start on a free port of 127.0.0.1 and answer which, or somewhere else. With `putsOffOnce` each recipient is
   * refused with 451 the first time.
   */
  static async start(
    options: { readonly host?: string; readonly port?: number; readonly putsOffOnce?: boolean } = {},
  ): Promise<Recorder> {
    const { host = '127.0.0.1', port = 0 } = options
    const recorder = new Recorder(options)
    await new Promise<void>((resolve, reject) => {
      recorder.#server.once('error', reject)
      recorder.#server.listen({ host, port }, resolve)
    })
    return recorder
  }

  get port(): number {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 0
  }

  get mails(): readonly ReceivedMail[] {
    return this.#mails
  }

  /** Resolve when at least `count` mails have come. Rejects after `timeoutMs` (default 60 s). */
  waitFor(count: number, timeoutMs = 60_000): Promise<readonly ReceivedMail[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`only ${this.#mails.length} of ${count} mails came within ${timeoutMs} ms`))
      }, timeoutMs)
      const done = () => {
        clearTimeout(timer)
        resolve(this.#mails)
      }
      if (this.#mails.length >= count) done()
      else this.#waiting.push({ count, resolve: done })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    const inbox = new Inbox()
    let isInData = false
    let draft: Draft = emptyDraft()
    socket.write('220 recorder.test ESMTP\r\n')
    socket.on('data', (chunk: Buffer) => {
      inbox.append(chunk)
      for (;;) {
        if (isInData) {
          const content = inbox.takeContent()
          if (content === undefined) return
          isInData = false
          this.#keep(draft, content)
          draft = emptyDraft()
          socket.write('250 2.0.0 recorded\r\n')
          continue
        }
        const line = inbox.takeLine()
        if (line === undefined) return
        const verb = line.slice(0, 4).toUpperCase()
        if (verb === 'QUIT') return void socket.end('221 2.0.0 bye\r\n')
        if (verb === 'RSET') draft = emptyDraft()
        if (verb === 'RCPT' && this.#putsOff(line)) {
          socket.write('451 4.7.1 not the first time\r\n')
          continue
        }
        isInData = verb === 'DATA' && draft.to.length > 0
        socket.write(answer(verb, line, draft))
      }
    })
  }

  #putsOff(line: string): boolean {
    if (this.#putOff === undefined || this.#putOff.has(line)) return false
    this.#putOff.add(line)
    return true
  }

  #keep(draft: Draft, content: Buffer): void {
    const traceEnd = leadingTraceEnd(content)
    this.#mails.push({
      envelopeFrom: draft.from,
      mailParameters: draft.fromParameters,
      rcptTo: draft.to,
      rcptParameters: draft.toParameters,
      trace: content.subarray(0, traceEnd),
      bytes: content.subarray(traceEnd),
    })
    const ready = this.#waiting.filter(one => this.#mails.length >= one.count)
    this.#waiting = this.#waiting.filter(one => this.#mails.length < one.count)
    for (const one of ready) one.resolve()
  }
}

function emptyDraft(): Draft {
  return { from: '', fromParameters: '', to: [], toParameters: [] }
}

function answer(verb: string, line: string, draft: Draft): string {
  if (verb === 'EHLO')
    return '250-recorder.test\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n'
  if (verb === 'MAIL') {
    const [path, parameters] = splitPath(line)
    draft.from = path
    draft.fromParameters = parameters
    return '250 2.1.0 ok\r\n'
  }
  if (verb === 'RCPT') {
    const [path, parameters] = splitPath(line)
    draft.to.push(path)
    draft.toParameters.push(parameters)
    return '250 2.1.5 ok\r\n'
  }
  if (verb === 'DATA') return draft.to.length > 0 ? '354 go on\r\n' : '503 5.5.1 to whom?\r\n'
  return verb === 'HELO' || verb === 'NOOP' || verb === 'RSET' ? '250 ok\r\n' : '502 5.5.1 not here\r\n'
}

/** `MAIL FROM:<a@b> SIZE=3` → [`a@b`, `SIZE=3`]. A quoted local part may hold `>`, so the last bracket counts. */
function splitPath(line: string): [path: string, parameters: string] {
  const open = line.indexOf('<')
  const parametersAt = line.indexOf('> ', open)
  const close = parametersAt >= 0 ? parametersAt : line.lastIndexOf('>')
  return [line.slice(open + 1, close), line.slice(close + 1).trim()]
}

/** What a client has sent and nobody has read yet. Grows by doubling and is searched once, so that 25 MB are cheap. */
class Inbox {
  #space: Buffer = Buffer.alloc(16 * 1024)
  #start = 0
  #end = 0
  /** Before this the end of content is not. */
  #searched = 0

  append(chunk: Buffer): void {
    if (this.#end + chunk.length > this.#space.length) {
      const used = this.#end - this.#start
      const larger = Buffer.alloc(Math.max(this.#space.length, 2 * (used + chunk.length)))
      this.#space.copy(larger, 0, this.#start, this.#end)
      this.#searched = Math.max(0, this.#searched - this.#start)
      this.#space = larger
      this.#start = 0
      this.#end = used
    }
    chunk.copy(this.#space, this.#end)
    this.#end += chunk.length
  }

  takeLine(): string | undefined {
    const pending = this.#space.subarray(this.#start, this.#end)
    const end = pending.indexOf(crlf)
    if (end < 0) return undefined
    this.#advance(end + 2)
    return pending.subarray(0, end).toString('utf8')
  }

  /** The content up to CRLF.CRLF, dot-stuffing undone; undefined when its end has not come yet. */
  takeContent(): Buffer | undefined {
    const pending = this.#space.subarray(this.#start, this.#end)
    if (pending.subarray(0, 3).equals(endOfData.subarray(2))) {
      this.#advance(3)
      return Buffer.alloc(0)
    }
    const end = pending.indexOf(endOfData, Math.max(0, this.#searched - this.#start))
    if (end < 0) {
      this.#searched = Math.max(this.#start, this.#end - endOfData.length + 1)
      return undefined
    }
    this.#advance(end + endOfData.length)
    return unstuffed(pending.subarray(0, end + 2))
  }

  #advance(byteCount: number): void {
    this.#start += byteCount
    this.#searched = this.#start
  }
}

function unstuffed(content: Buffer): Buffer {
  const parts: Buffer[] = []
  let from = content[0] === 0x2e ? 1 : 0
  for (let at = content.indexOf('\r\n.'); at >= 0; at = content.indexOf('\r\n.', at + 3)) {
    parts.push(content.subarray(from, at + 2))
    from = at + 3
  }
  parts.push(content.subarray(from))
  return Buffer.concat(parts)
}

/** Where the first header field ends, folding included, when that field is Received; else 0. */
function leadingTraceEnd(content: Buffer): number {
  if (content.subarray(0, 9).toString('latin1').toLowerCase() !== 'received:') return 0
  let end = content.indexOf(crlf) + 2
  while (content[end] === 0x20 || content[end] === 0x09) end = content.indexOf(crlf, end) + 2
  return end
}
