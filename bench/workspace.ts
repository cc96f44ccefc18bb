/**
 * The one folder below which a run of the bench keeps everything temporary: a queue of ten million is 25 GB that nobody
 * wants to find later. It goes at the end, and also at Ctrl-C: then all processes that the bench started, however deep,
 * are killed first, since some of them would go on writing.
 */
import { rmSync } from 'node:fs'
import { Scratch } from '../test/support/peers/index.ts'
import { descendants } from './process-tree.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class Workspace implements AsyncDisposable {
  readonly #scratch: Scratch
  readonly #onSignal = (signal: NodeJS.Signals): void => this.#interrupted(signal)

  private constructor(scratch: Scratch) {
    this.#scratch = scratch
    for (const signal of signals) process.once(signal, this.#onSignal)
  }

  static async open(parent: string): Promise<Workspace> {
    return new Workspace(await Scratch.create('bench', parent))
  }

  get path(): string {
    return this.#scratch.path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of signals) process.off(signal, this.#onSignal)
    await this.#scratch[Symbol.asyncDispose]()
  }

  #interrupted(signal: NodeJS.Signals): void {
    for (const pid of descendants(process.pid)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended meanwhile.
      }
    }
    // Retried: the killed may be in the middle of a write.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    for (const one of signals) process.off(one, this.#onSignal)
    process.kill(process.pid, signal)
  }
}
