// Looks whether the write-ahead log is copied into the database, and says so when it is not.
//
// SQLite copies it by itself after a commit and keeps quiet when that fails: nothing is lost, since all of it is in the
// log and synced, but the log grows until the disk is full. So the main thread looks at its size, and when it has grown
// far beyond what it should have, has one copying done whose error is seen.

import { statSync } from 'node:fs'
import type { Clock } from '../base/index.ts'
import type { Log } from '../telemetry/index.ts'

const everyMs = 5000
const remindEveryMs = 60_000
/** After a long read it may be left at 64 MiB. */
const largeBytes = 96 * 1024 * 1024

/** See the head of the file. */
export class WalWatch implements Disposable {
  readonly #path: string
  readonly #checkpoint: () => Promise<void>
  readonly #clock: Clock
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #toldMs = Number.NEGATIVE_INFINITY

  /** @param checkpoint copies what can be copied; rejects with what the disk says */
  constructor(path: string, checkpoint: () => Promise<void>, clock: Clock, log: Log) {
    this.#path = path
    this.#checkpoint = checkpoint
    this.#clock = clock
    this.#log = log
    this.#timer = setInterval(() => void this.look(), everyMs)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    const sizeBytes = sizeOf(this.#path)
    if (sizeBytes < largeBytes || nowMs - this.#toldMs < remindEveryMs) return
    this.#toldMs = nowMs
    // Without an error it is a reader that holds it back, for instance a backup.
    const why = await this.#checkpoint().then(
      () => 'something reads an old state of the database',
      (error: Error) => error.message,
    )
    this.#log.event('store.wal-grows', { sizeBytes, why })
  }
}

/** 0 also when nobody can tell: the folder may not be entered any more, or its disk fails. Both show elsewhere. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
