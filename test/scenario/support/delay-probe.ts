// An idle thread that notes how late its event loop is (late-loops.ts): how late this machine makes everybody just now.
//
// What a busy machine does to a server's event loop it does to an idle thread too; what the
// server does to its own it does not.

import { parentPort, Worker } from 'node:worker_threads'
import { lateLoopsVariable } from './late-loops.ts'

/** Its name in the notes. */
export const idleThread = 'idle'

/** See the head of the file. */
export class DelayProbe implements AsyncDisposable {
  readonly #worker: Worker

  /** @param path the file of the notes */
  constructor(path: string) {
    this.#worker = new Worker(new URL(import.meta.url), {
      name: idleThread,
      env: { ...process.env, [lateLoopsVariable]: path },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}

// Lives until it is ended.
parentPort?.on('message', () => undefined)
