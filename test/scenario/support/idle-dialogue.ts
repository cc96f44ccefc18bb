// One dialogue after the other with a server that has nothing else to do, in a thread of its own: how long as many round
// trips as an ordinary message needs take just now, on this machine and beside what this test does.
//
// What a busy machine, or a test with 2,000 connections, costs every client it costs this one too; what an attack does
// to the server under attack it does not.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, Worker } from 'node:worker_threads'

/** Commands, handshakes and the delivery of a message. */
const turns = 20
const pauseMs = 50

/** See the head of the file. */
export class IdleDialogue implements AsyncDisposable {
  readonly #worker: Worker
  readonly #socket: Socket
  readonly #over = new AbortController()
  readonly #talking: Promise<void>
  #startedMs = performance.now()
  #slowestMs = 0

  private constructor(worker: Worker, socket: Socket) {
    this.#worker = worker
    this.#socket = socket
    this.#talking = this.#talk().catch(error => {
      if (!this.#over.signal.aborted) throw error
    })
  }

  static async start(): Promise<IdleDialogue> {
    const worker = new Worker(new URL(import.meta.url))
    const [port] = (await once(worker, 'message')) as [number]
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new IdleDialogue(worker, socket)
  }

  /** How long the slowest took since the last look, the one that is going on included. */
  takeMs(): number {
    const slowestMs = Math.max(this.#slowestMs, performance.now() - this.#startedMs - pauseMs)
    this.#slowestMs = 0
    return slowestMs
  }

  async #talk(): Promise<void> {
    const { signal } = this.#over
    for (;;) {
      // The pause belongs to it, so that no moment is left out.
      this.#startedMs = performance.now()
      await sleep(pauseMs, undefined, { signal })
      for (let turn = 0; turn < turns; turn++) {
        this.#socket.write('x')
        await once(this.#socket, 'data', { signal })
      }
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - this.#startedMs - pauseMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#talking
    this.#socket.destroy()
    await this.#worker.terminate()
  }
}

if (parentPort !== null) {
  const port = parentPort
  const server = net.createServer({ noDelay: true }, socket => {
    socket.on('error', () => undefined)
    socket.on('data', chunk => void socket.write(chunk))
  })
  server.listen(0, '127.0.0.1', () => port.postMessage((server.address() as AddressInfo).port))
}
