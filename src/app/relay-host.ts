// The relay threads as the main thread sees them: started together, called together; the end of one is the end of all.
//
// A call goes to every thread and is done when all have answered: what a command has returned is then in force everywhere.
// A thread that dies on its own is told once through `failed`; serve.ts then ends the process.

import { Worker } from 'node:worker_threads'
import type { ControlThreads } from '../api/control/index.ts'
import type { CollectedMetric } from '../telemetry/index.ts'
import type { BindFailure, RelayData, RelayReload } from './relay-data.ts'
import { ThreadLink } from './thread-link.ts'

/**
 * Room for new objects of a thread: nearly everything of a message is garbage milliseconds later, and a small nursery
 * would copy what is in flight again and again. All of it stays resident: 64 MB a thread cost 110 MB more in all.
 */
const youngGenerationMb = 32
/** Far above what a full ready queue, all caches and two thousand sessions need (under 150 MB); see heap-growth.ts. */
const oldGenerationMb = 2048

interface RunningThread {
  readonly worker: Worker
  readonly link: ThreadLink
}

/** All relay threads. */
export class RelayHost implements ControlThreads {
  readonly #threads: RunningThread[] = []
  readonly #onClockJump: () => Promise<void>
  readonly #failed = Promise.withResolvers<Error>()
  #isClosing = false

  /** @param onClockJump a thread saw the wall clock jump; resolves when it may go on */
  constructor(onClockJump: () => Promise<void>) {
    this.#onClockJump = onClockJump
  }

  /** Starts a thread; it builds its parts and opens no door. */
  start(data: RelayData): void {
    const worker = new Worker(new URL(threadFile(import.meta.url), import.meta.url), {
      workerData: data,
      transferList: [data.storePort],
      name: `relay-${data.index}`,
      resourceLimits: {
        maxYoungGenerationSizeMb: youngGenerationMb,
        maxOldGenerationSizeMb: oldGenerationMb,
      },
    })
    const link = new ThreadLink(worker, { clockJumped: () => this.#onClockJump() })
    const ended = (error: Error): void => {
      link.fail(error)
      if (!this.#isClosing) this.#failed.resolve(error)
    }
    worker.on('error', error => ended(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', () => ended(new Error(`relay thread ${data.index} ended`)))
    this.#threads.push({ worker, link })
  }

  /** Resolves with the reason when a thread died on its own. */
  get failed(): Promise<Error> {
    return this.#failed.promise
  }

  /** Resolves when all threads have built their parts: they can open their doors within milliseconds. */
  async built(): Promise<void> {
    await this.#all('built')
  }

  /** Binds the doors in all threads; the answer is one that could not be had. */
  async bind(): Promise<BindFailure | null> {
    const failures = await this.#all<BindFailure | null>('bind')
    return failures.find(one => one !== null) ?? null
  }

  /** Opens the doors, and delivery begins. */
  async begin(): Promise<void> {
    await this.#all('begin')
  }

  async accountsChanged(): Promise<void> {
    await this.#all('accountsChanged')
  }

  async recall(): Promise<number> {
    const counts = await this.#all<number>('recall')
    return counts.reduce((sum, count) => sum + count, 0)
  }

  wake(): void {
    void this.#all('wake').catch(() => {})
  }

  async reload(change: RelayReload): Promise<void> {
    await this.#all('reload', change)
  }

  metrics(): Promise<CollectedMetric[][]> {
    return this.#all<CollectedMetric[]>('metrics')
  }

  /** Ends sessions and attempts, at most for `deadlineMs`, then closes the threads. */
  async close(deadlineMs: number): Promise<void> {
    this.#isClosing = true
    await this.#all('drain', deadlineMs)
    await this.#all('close')
    await this.terminate()
  }

  /** Ends the threads at once: after a failure, when draining is of no use. */
  async terminate(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #all<T>(name: string, argument?: unknown): Promise<T[]> {
    return Promise.all(this.#threads.map(({ link }) => link.call<T>(name, argument)))
  }
}

/** The compiled package has `.js` files, the repository `.ts`. */
function threadFile(ownUrl: string): string {
  return ownUrl.endsWith('.ts') ? './relay-thread.ts' : './relay-thread.js'
}
