// One client of the control socket: reads requests, runs them one after the other, writes answers.
//
// Invariants: at most `waitingMax` requests wait; a malformed line is answered and the connection goes on, a line that
// is too long ends it; whatever a command throws becomes an error value; nothing is written after the client has gone.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Arguments, type ControlCommands } from './command.ts'
import {
  type ControlOutcome,
  type ControlRequest,
  cancelled,
  failed,
  LineReader,
  line,
  parseRequest,
} from './wire.ts'

const waitingMax = 16

/** A connected client. */
export class ControlConnection {
  readonly #socket: Socket
  readonly #commands: ControlCommands
  readonly #lines = new LineReader()
  readonly #waiting: ControlRequest[] = []
  readonly #gone = new AbortController()
  #isRunning = false

  constructor(socket: Socket, commands: ControlCommands) {
    this.#socket = socket
    this.#commands = commands
    socket.on('data', chunk => this.#take(chunk as Buffer))
    // A client that dies is no event for the server; `close` follows.
    socket.on('error', () => this.#gone.abort())
    socket.on('end', () => {
      this.#gone.abort()
      if (!this.#isRunning) socket.end()
    })
    socket.on('close', () => this.#gone.abort())
  }

  /** Resolves when the connection is closed. */
  get closed(): Promise<unknown> {
    return this.#socket.closed ? Promise.resolve() : once(this.#socket, 'close')
  }

  /** Ends a running command and the connection. */
  close(): void {
    this.#gone.abort()
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    if (this.#socket.writableEnded) return
    const lines = this.#lines.take(chunk)
    if (lines === null) {
      this.#refuse('too-long', 'a request line may have at most 16 MiB')
      return
    }
    for (const text of lines) {
      const request = parseRequest(text)
      if ('code' in request) this.#socket.write(line({ id: 0, error: request }))
      else if (this.#waiting.length < waitingMax) this.#waiting.push(request)
      else {
        this.#refuse('too-many-requests', `more than ${waitingMax} requests wait on one connection`)
        return
      }
    }
    void this.#run()
  }

  #refuse(code: string, message: string): void {
    const { error } = failed(code, message, 'send less at a time')
    this.#socket.end(line({ id: 0, error }))
    this.#gone.abort()
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const outcome = await this.#answer(next)
      if (this.#socket.writable)
        this.#socket.write(
          line(
            outcome.ok
              ? { id: next.id, result: outcome.value ?? null }
              : { id: next.id, error: outcome.error },
          ),
        )
    }
    this.#isRunning = false
    if (this.#gone.signal.aborted) this.#socket.end()
  }

  async #answer({ id, command, arguments: given }: ControlRequest): Promise<ControlOutcome> {
    const run = Object.hasOwn(this.#commands, command) ? this.#commands[command] : undefined
    if (run === undefined && command.startsWith('lab.'))
      return failed(
        'lab-off',
        'the lab of this server is off',
        'set enabled = true under [lab], or use postrider lab run',
      )
    if (run === undefined)
      return failed(
        'unknown-command',
        `the server does not know the command "${command.slice(0, 80)}"`,
        'the command line program and the server may be of different versions',
      )
    try {
      return await run(new Arguments(given), {
        item: value => this.#item(id, value),
        signal: this.#gone.signal,
      })
    } catch (error) {
      if (this.#gone.signal.aborted) return cancelled()
      const { code, message } = error as { code?: unknown; message?: unknown }
      return failed(
        typeof code === 'string' ? code : 'internal',
        String(message ?? error),
        'the log of the server may say more',
      )
    }
  }

  async #item(id: number, item: unknown): Promise<void> {
    if (!this.#socket.writable || this.#socket.write(line({ id, item }))) return
    // A slow reader holds its own command back, not the memory of the server.
    const { signal } = this.#gone
    await once(this.#socket, 'drain', { signal }).catch(() => undefined)
  }
}
