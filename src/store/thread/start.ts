// Starts the store: in a thread of its own (the server) or in the calling thread (tests, tools). Both are a StoreHost.
//
// Start returns only when the database is open, migrated and recovered. The lock of the data folder is the caller's.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { type PackedStoreError, StoreError, unpackError } from '../errors.ts'
import type { CommitObserver } from './group.ts'
import { openService, type StoreOptions } from './open-service.ts'

/** What the main thread tells the store thread. */
export type ToWorker = { readonly kind: 'connect'; readonly port: MessagePort } | { readonly kind: 'close' }

/** What the store thread tells the main thread. */
export type FromWorker =
  | { readonly kind: 'ready'; readonly clockBehindMs: number }
  | { readonly kind: 'failed'; readonly error: PackedStoreError }
  | { readonly kind: 'fatal'; readonly error: PackedStoreError }
  | { readonly kind: 'refusing'; readonly why: string | null }
  | { readonly kind: 'slow'; readonly tookMs: number }
  | { readonly kind: 'closed' }

/** A running store. */
export interface StoreHost extends AsyncDisposable {
  /** A new line to the store; transfer it to the thread that will use it, see `openThreadStore`. */
  connect(): MessagePort
  /** Resolves when the store cannot go on (a failed fsync, a damaged file, a dead thread): end the process. */
  readonly failed: Promise<StoreError>
  /** By how much the clock lay behind the newest event at start: waiting mail was moved along. 0 when it did not. */
  readonly clockBehindMs: number
  /** Closes; its lines are closed before, so that nobody waits for an answer any more. */
  close(): Promise<void>
}

/** Told how the disk does. */
export type StoreWatch = Pick<CommitObserver, 'onRefusing' | 'onSlow'>

/** Hardly anything of a group outlives it; a larger nursery only stays resident. */
const youngGenerationMb = 12
/**
 * Far above what the thread holds (5 MB, and what is under way to it). With the default, which goes by the machine's
 * memory, a long drain left 15 MB of garbage and as much in buffers before it was worth a collection.
 */
const oldGenerationMb = 512

/** Starts the store thread. Rejects with StoreError when the data folder cannot be used. */
export async function startStoreThread(options: StoreOptions, watch: StoreWatch = {}): Promise<StoreHost> {
  const worker = new Worker(new URL(workerFile(import.meta.url), import.meta.url), {
    workerData: options,
    name: 'store',
    resourceLimits: {
      maxYoungGenerationSizeMb: youngGenerationMb,
      maxOldGenerationSizeMb: oldGenerationMb,
    },
  })
  const failed = Promise.withResolvers<StoreError>()
  const closed = Promise.withResolvers<void>()
  const ready = Promise.withResolvers<number>()
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'ready') ready.resolve(message.clockBehindMs)
    else if (message.kind === 'closed') closed.resolve()
    else if (message.kind === 'failed') ready.reject(unpackError(message.error))
    else if (message.kind === 'refusing') watch.onRefusing?.(message.why)
    else if (message.kind === 'slow') watch.onSlow?.(message.tookMs)
    else failed.resolve(unpackError(message.error))
  })
  const onEnd = (error: Error | null): void => {
    const why = new StoreError('PR_STORE_IO', `the store thread ended: ${error?.message ?? 'unexpectedly'}`, {
      cause: error,
      isFatal: true,
    })
    ready.reject(why)
    failed.resolve(why)
    closed.resolve()
  }
  worker.on('error', onEnd)
  worker.on('exit', () => onEnd(null))
  const clockBehindMs = await ready.promise
  const close = async (): Promise<void> => {
    worker.postMessage({ kind: 'close' } satisfies ToWorker)
    await closed.promise
    await worker.terminate()
  }
  return {
    failed: failed.promise,
    clockBehindMs,
    connect: () => {
      const { port1, port2 } = new MessageChannel()
      worker.postMessage({ kind: 'connect', port: port2 } satisfies ToWorker, [port2])
      return port1
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The compiled package has `.js` files, the repository `.ts`. */
function workerFile(ownUrl: string): string {
  return ownUrl.endsWith('.ts') ? './worker.ts' : './worker.js'
}

/** Opens the store in the calling thread, behind the same ports. Throws StoreError when the data folder cannot be used. */
export function startStoreInProcess(options: StoreOptions): StoreHost {
  const failed = Promise.withResolvers<StoreError>()
  const opened = openService(options, { onFatal: error => failed.resolve(unpackError(error)) })
  const close = async (): Promise<void> => opened.close()
  return {
    failed: failed.promise,
    clockBehindMs: opened.clockBehindMs,
    connect: () => {
      const { port1, port2 } = new MessageChannel()
      opened.service.attach(port2)
      return port1
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
