// The client of the control socket, as the command line program uses it.
//
// One call at a time. What goes wrong is a value: no server, no permission, a broken line, an error of the command. A server
// may take its time, and one that stands still is waited for, unless the caller says for how long.

import { connect, type Socket } from 'node:net'
import { type ControlAnswer, type ControlOutcome, failed, LineReader, line, parseAnswer } from './wire.ts'

export type ControlClientResult =
  | { readonly ok: true; readonly client: ControlClient }
  /** `server-not-running` and `not-permitted` are what callers tell people about. */
  | (ControlOutcome & { readonly ok: false })

/**
 * Connects to the socket at a path; '' means that no server has said where it is.
 * @param silenceMsMax a call ends with `server-silent` when nothing has come for so long; without end by default
 */
export async function connectControl(path: string, silenceMsMax: number = 0): Promise<ControlClientResult> {
  if (path === '') return notRunning()
  return await new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve({ ok: true, client: new ControlClient(socket, silenceMsMax) })
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
        resolve(notRunning())
      else if (error.code === 'EACCES' || error.code === 'EPERM')
        resolve(
          failed(
            'not-permitted',
            `you may not use ${path}`,
            'run this as the user of the server, or as root',
          ),
        )
      else
        resolve(
          failed('control-socket', `${path}: ${error.message}`, 'is it the socket of a Postrider server?'),
        )
    })
  })
}

interface Waiting {
  readonly id: number
  readonly onItem: (item: unknown) => void | Promise<void>
  readonly resolve: (outcome: ControlOutcome) => void
}

/** A connection to a running server. */
export class ControlClient implements Disposable {
  readonly #socket: Socket
  readonly #lines = new LineReader()
  #waiting: Waiting | null = null
  #nextId = 1
  #work: Promise<void> = Promise.resolve()

  constructor(socket: Socket, silenceMsMax: number) {
    this.#socket = socket
    socket.setTimeout(silenceMsMax, () => this.#giveUp(silenceMsMax))
    socket.on('data', chunk => this.#take(chunk as Buffer))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end())
  }

  /** Runs a command; items go to `onItem` in order, and the next is read only when that has resolved. */
  call(
    command: string,
    given: Readonly<Record<string, unknown>> = {},
    onItem: (item: unknown) => void | Promise<void> = () => undefined,
  ): Promise<ControlOutcome> {
    if (this.#waiting !== null) throw new Error('a control call is still running')
    const id = this.#nextId++
    return new Promise(resolve => {
      this.#waiting = { id, onItem, resolve }
      if (this.#socket.destroyed) this.#end()
      else this.#socket.write(line({ id, command, arguments: given }))
    })
  }

  /** Runs a command that answers with rows; the value is all of them. */
  async list(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<ControlOutcome> {
    const rows: unknown[] = []
    const outcome = await this.call(command, given, row => void rows.push(row))
    // A server that still runs from before an upgrade may answer with the whole list at once.
    return outcome.ok && !Array.isArray(outcome.value) ? { ok: true, value: rows } : outcome
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    const lines = this.#lines.take(chunk)
    if (lines === null) {
      this.#break('an answer was longer than 16 MiB')
      return
    }
    // Reading stops while items are handled: a slow terminal slows the server's command, nothing else.
    this.#socket.pause()
    this.#work = this.#work
      .then(async () => {
        for (const text of lines) await this.#answer(parseAnswer(text))
      })
      .catch(error => this.#break(String(error)))
      .then(() => {
        this.#socket.resume()
      })
  }

  async #answer(answer: ControlAnswer | null): Promise<void> {
    const waiting = this.#waiting
    if (waiting === null) return
    if (answer === null) return this.#break('the server sent a line that is no answer')
    if ('item' in answer) return await waiting.onItem(answer.item)
    this.#waiting = null
    waiting.resolve(
      'error' in answer ? { ok: false, error: answer.error } : { ok: true, value: answer.result },
    )
  }

  /** The kernel takes connections and requests for a server that does not run. */
  #giveUp(silenceMs: number): void {
    this.#settle(
      failed(
        'server-silent',
        `the server takes connections and has not answered for ${silenceMs / 1000} seconds`,
        'it stands still, or has far too much to do: look at its process (top) and at the end of its log; a stopped one goes on with kill -CONT',
      ),
    )
    this.#socket.destroy()
  }

  #break(message: string): void {
    this.#settle(failed('control-socket', message, 'are the program and the server of the same version?'))
    this.#socket.destroy()
  }

  #end(): void {
    void this.#work.then(() =>
      this.#settle(
        failed('server-gone', 'the server closed the connection', 'is it ending? postrider doctor looks'),
      ),
    )
  }

  #settle(outcome: ControlOutcome): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve(outcome)
  }
}

function notRunning(): ControlOutcome & { readonly ok: false } {
  return failed(
    'server-not-running',
    'no server is running on this data folder',
    'start it: npm start, or postrider serve',
  )
}
