// Looks whether this process can still open anything, for /readyz and the log.
//
// Nobody else tells: when accept fails, libuv keeps it to itself. It takes what waits in the queue of a door and closes it
// without a word (it has a descriptor in reserve for that), so that clients see connections that end at once, and a relay
// that is deaf would call itself ready. So the main thread opens a file and closes it, once a second.

import { closeSync, openSync } from 'node:fs'
import type { Clock } from '../base/index.ts'
import type { Log } from '../telemetry/index.ts'

const everyMs = 1000
/** A process at its limit gets and loses the last descriptor all the time. */
const remindEveryMs = 60_000

/** See the head of the file. */
export class DescriptorWatch implements Disposable {
  readonly #clock: Clock
  readonly #log: Pick<Log, 'event'>
  readonly #timer: NodeJS.Timeout
  /** What the system said at the last look, and since when it says so; null when it gave a descriptor. */
  #refused: { readonly code: string; readonly sinceMs: number } | null = null
  #toldMs = Number.NEGATIVE_INFINITY
  #isTold = false

  constructor(clock: Clock, log: Pick<Log, 'event'>) {
    this.#clock = clock
    this.#log = log
    this.#timer = setInterval(() => this.look(), everyMs)
    this.#timer.unref()
  }

  /** Why no connection can be taken; null when one can. */
  get trouble(): string | null {
    return this.#refused === null
      ? null
      : `no file descriptor is left (${this.#refused.code}): new connections are closed unheard`
  }

  /** Asks the system now. */
  look(): void {
    const code = refusal()
    const nowMs = this.#clock.monotonicMs()
    const before = this.#refused
    this.#refused = code === null ? null : { code, sinceMs: before?.sinceMs ?? nowMs }
    if (code !== null) this.#tell(code, nowMs)
    else if (before !== null && this.#isTold) {
      this.#isTold = false
      this.#log.event('descriptors.free-again', { refusedForMs: Math.round(nowMs - before.sinceMs) })
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #tell(code: string, nowMs: number): void {
    if (nowMs - this.#toldMs < remindEveryMs) return
    this.#toldMs = nowMs
    this.#isTold = true
    this.#log.event('descriptors.none-left', { code })
  }
}

/** `EMFILE` (this process has all that it may) or `ENFILE` (the machine has); null when a file could be opened. */
function refusal(): string | null {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'EMFILE' || code === 'ENFILE' ? code : null
  }
}
