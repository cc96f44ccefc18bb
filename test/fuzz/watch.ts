// Runs the fuzzing thread under watch: a hang or a memory that grows without bound are findings like any other.

import { Worker } from 'node:worker_threads'
import type { FuzzJob, FuzzReport } from './fuzz.worker.ts'
import type { Finding } from './fuzzer.ts'

/** An input that runs this long hangs. */
const hangMs = 10_000
const heapMegabytesMax = 512
const inputBytesMax = 1_048_576

/** A finding with the ways a thread can end. */
export interface WatchedFinding {
  readonly kind: Finding['kind'] | 'hang' | 'memory'
  readonly input: Buffer
  readonly message: string
}

export interface WatchedResult {
  readonly executions: number
  readonly findings: readonly WatchedFinding[]
  /** Null when the thread did not come to its end. */
  readonly corpus: readonly Buffer[] | null
  readonly blocks: number
}

/** Fuzzes in a thread. */
export async function fuzzWatched(job: Omit<FuzzJob, 'shared'>): Promise<WatchedResult> {
  const shared = new SharedArrayBuffer(8 + inputBytesMax)
  const head = new Uint32Array(shared, 0, 2)
  const present = (): Buffer => Buffer.from(new Uint8Array(shared, 8, Math.min(head[1]!, inputBytesMax)))
  const worker = new Worker(new URL('./fuzz.worker.ts', import.meta.url), {
    workerData: { ...job, shared } satisfies FuzzJob,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
  })
  const done = Promise.withResolvers<WatchedResult>()
  const broken = (kind: 'hang' | 'memory', message: string): void =>
    done.resolve({
      executions: head[0]!,
      findings: [{ kind, input: present(), message }],
      corpus: null,
      blocks: 0,
    })
  worker.on('message', ({ executions, findings, corpus, blocks }: FuzzReport) =>
    done.resolve({
      executions,
      blocks,
      findings: findings.map(one => ({ ...one, input: Buffer.from(one.input) })),
      corpus: corpus.map(bytes => Buffer.from(bytes)),
    }),
  )
  worker.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') broken('memory', error.message)
    else done.reject(error)
  })
  let seen = -1
  const watch = setInterval(() => {
    if (head[0] === seen && seen > 0) broken('hang', `an input ran longer than ${hangMs} ms`)
    seen = head[0]!
  }, hangMs)
  try {
    return await done.promise
  } finally {
    clearInterval(watch)
    await worker.terminate()
  }
}
