// An idle thread that notes how late its event loop is: how late this machine makes everybody just now.
//
// What a busy machine does to a server's event loop it does to an idle thread too; what the
// server does to its own it does not.

import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort, Worker } from 'node:worker_threads'

const resolutionMs = 20

/** See the head of the file. */
export class DelayProbe implements AsyncDisposable {
  readonly #worker = new Worker(new URL(import.meta.url))

  /** The longest delay since the last look, in milliseconds. */
  async takeMs(): Promise<number> {
    this.#worker.postMessage('take')
    const [delayMs] = (await once(this.#worker, 'message')) as [number]
    return delayMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}

if (parentPort !== null) {
  const port = parentPort
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  port.on('message', () => {
    port.postMessage(Math.max(0, delay.max / 1e6 - resolutionMs))
    delay.reset()
  })
}
