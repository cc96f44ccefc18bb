// The thread that fuzzes. It writes each input into shared memory before it runs it, so that the main thread still has
// the input when this thread hangs or runs out of memory.

import { parentPort, workerData } from 'node:worker_threads'
import { type Finding, fuzz } from './fuzzer.ts'
import { findTarget } from './targets.ts'

/** What the main thread asks for. */
export interface FuzzJob {
  readonly target: string
  readonly seed: number
  readonly corpus: readonly Uint8Array[]
  readonly durationMs: number
  readonly executionsMax: number | null
  /** 4 bytes: inputs so far; 4 bytes: length of the present one; then its bytes. */
  readonly shared: SharedArrayBuffer
}

/** What it gets. */
export interface FuzzReport {
  readonly executions: number
  readonly findings: readonly Finding[]
  readonly corpus: readonly Uint8Array[]
  readonly blocks: number
}

const job = workerData as FuzzJob
const target = (await findTarget(job.target))!
const head = new Uint32Array(job.shared, 0, 2)
const present = new Uint8Array(job.shared, 8)
const endsAtMs = performance.now() + job.durationMs

const result: FuzzReport = await fuzz(target, {
  seed: job.seed,
  corpus: job.corpus.map(bytes => Buffer.from(bytes)),
  isOver: executions =>
    job.executionsMax === null ? performance.now() >= endsAtMs : executions >= job.executionsMax,
  beforeRun: input => {
    present.set(input.subarray(0, present.length))
    head[1] = input.length
    Atomics.add(head, 0, 1)
  },
})
parentPort!.postMessage(result)
