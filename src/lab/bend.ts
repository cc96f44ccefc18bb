// Bends what a session writes to a connection in the clear: EHLO keywords taken away, replies a byte at a time.
//
// Sits between the SMTP server engine and its socket by replacing `write` and `end` of that one socket. TLS goes
// around it, so a host that is to be bent must not offer TLS. Invariant: no byte is lost or moved past another.

import type { Socket } from 'node:net'

/** What is done to the output. */
export interface Bends {
  readonly hostname: string
  readonly withholds: readonly string[]
  readonly isHeloOnly: boolean
  readonly bytePauseMs: number
}

/** The bent output of one connection. */
export class BentOutput {
  readonly #socket: Socket
  readonly #write: (chunk: Buffer) => boolean
  readonly #end: () => void
  #bends: Bends
  #waiting: Buffer[] = []
  #isEndDue = false
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Socket, bends: Bends) {
    this.#socket = socket
    this.#bends = bends
    this.#write = socket.write.bind(socket) as (chunk: Buffer) => boolean
    this.#end = socket.end.bind(socket) as () => void
    // The engine writes text without encoding or callback, and ends without data.
    Object.assign(socket, {
      write: (text: string | Buffer): boolean => this.#send(text),
      end: (): Socket => this.#finish(),
    })
    // What waits here is not with the system yet: the engine must not close before.
    Object.defineProperty(socket, 'writableLength', {
      get: () => this.#waiting.reduce((bytes, chunk) => bytes + chunk.length, 0),
    })
    socket.once('close', () => clearTimeout(this.#timer))
  }

  /** From now on a byte at a time. */
  slowDown(bytePauseMs: number): void {
    this.#bends = { ...this.#bends, bytePauseMs }
  }

  #send(given: string | Buffer): boolean {
    const text = bendEhlo(String(given), this.#bends)
    if (this.#bends.bytePauseMs === 0 && this.#waiting.length === 0) return this.#write(Buffer.from(text))
    this.#waiting.push(Buffer.from(text))
    this.#timer ??= setTimeout(() => this.#drip(), this.#bends.bytePauseMs)
    return true
  }

  #drip(): void {
    this.#timer = undefined
    const [first] = this.#waiting
    if (first === undefined || this.#socket.destroyed) {
      if (this.#isEndDue) this.#end()
      return
    }
    this.#write(first.subarray(0, 1))
    if (first.length === 1) this.#waiting.shift()
    else this.#waiting[0] = first.subarray(1)
    this.#timer = setTimeout(() => this.#drip(), this.#bends.bytePauseMs)
  }

  #finish(): Socket {
    if (this.#timer === undefined) this.#end()
    else this.#isEndDue = true
    return this.#socket
  }
}

/** The EHLO reply inside of `text` without the withheld keywords. */
export function bendEhlo(text: string, { hostname, withholds, isHeloOnly }: Bends): string {
  const start = withholds.length === 0 && !isHeloOnly ? -1 : text.indexOf(`250-${hostname}`)
  if (start < 0) return text
  const last = /^250 .*\r\n/m.exec(text.slice(start))
  if (last === null) return text
  const end = start + last.index + last[0].length
  const lines = text.slice(start, end).split('\r\n').slice(0, -1)
  const kept = lines
    .map(line => line.slice(4))
    .filter((line, at) => at === 0 || !withholds.includes(line.split(' ')[0] ?? ''))
  const reply = isHeloOnly
    ? '502 5.5.1 EHLO is not known here; use HELO\r\n'
    : kept.map((line, at) => `250${at === kept.length - 1 ? ' ' : '-'}${line}\r\n`).join('')
  return text.slice(0, start) + reply + text.slice(end)
}
