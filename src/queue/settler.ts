// Gathers the results of attempts into commits: whatever settles within a few milliseconds, or while the last commit
// runs, goes into the next. What is more than a commit should hold stands in line for further ones: while all of a long
// queue fails, who hands a message in shares the commits, and would wait for all of it.
//
// Place on the path: between delivery (which calls settle and goes on) and the store. Each result's `done` runs after
// its commit is on disk. A commit that a full disk refused is tried again until there is room; meanwhile results wait in
// memory, no more of them than are leased, and their reports, which are made small when many wait. Any other failed
// commit is fatal for the thread: what it did is then settled by the recovery at start.

import { systemTimers, type Timers } from '../base/index.ts'
import type { NewEvent } from '../events/index.ts'
import type { NewMessage } from './message.ts'
import type { GiveBack, QueueStore, Settlement } from './port.ts'

/**
 * How long results wait for others. Nobody waits for a result, and a commit costs as much for one as for twenty; but what
 * was delivered and is not settled when the process dies is sent again (decision 0026).
 */
const gatherMs = 4
/** Settlements in a commit, about: those that settle together stay together, with their report. */
const commitSettlementsMax = 1000
/** Full commits in line. The last one takes all the rest: results must not come faster than they go. */
const lineMax = 10
/** How long a full disk is left alone before the next try. */
const retryMs = 1000
/** Refusals at the door that are kept for the log while the disk is full; older ones go. */
const eventsMax = 1000

/** Reports that wait and may each hold 256 KiB of what they report on; beyond this they are made without it. */
const reportBytesMax = 32 * 1024 * 1024

interface Gathered {
  settlements: Settlement[]
  giveBacks: GiveBack[]
  messages: NewMessage[]
  messageBytes: number
  events: NewEvent[]
  done: (() => void)[]
}

/** One per relay thread. */
export class Settler {
  readonly #store: Pick<QueueStore, 'settle'>
  readonly #onFatal: (error: unknown) => void
  /** Full commits that wait for the one that runs, oldest first. */
  readonly #line: Gathered[] = []
  /** What comes goes in here. */
  #next: Gathered = gathered()
  #runningBytes = 0
  /** Tells whether the commit succeeded. */
  #running: Promise<boolean> | null = null
  #cancelPlan: (() => void) | null = null
  #isClosed = false
  readonly #timers: Timers
  #cancelRetry: (() => void) | null = null

  constructor(
    store: Pick<QueueStore, 'settle'>,
    onFatal: (error: unknown) => void,
    timers: Timers = systemTimers,
  ) {
    this.#store = store
    this.#onFatal = onFatal
    this.#timers = timers
  }

  /** So many bytes of reports wait for their commit that further ones should be small. */
  get isCrowded(): boolean {
    const inLine = this.#line.reduce((sum, one) => sum + one.messageBytes, 0)
    return this.#runningBytes + inLine + this.#next.messageBytes > reportBytesMax
  }

  /** Results waiting for a commit. */
  get waiting(): number {
    return this.#line.reduce((sum, one) => sum + one.settlements.length, this.#next.settlements.length)
  }

  /** Takes results, with the reports that they make: all in one commit. `done` runs after it. */
  settle(
    settlements: readonly Settlement[],
    messages: readonly NewMessage[],
    done: (() => void) | null,
  ): void {
    this.#makeRoom()
    for (const one of settlements) this.#next.settlements.push(one)
    for (const message of messages) {
      this.#next.messages.push(message)
      this.#next.messageBytes += message.sizeBytes
    }
    if (done !== null) this.#next.done.push(done)
    this.#plan()
  }

  giveBack(giveBacks: readonly GiveBack[]): void {
    for (const one of giveBacks) this.#next.giveBacks.push(one)
    this.#plan()
  }

  event(event: NewEvent): void {
    this.#next.events.push(event)
    this.#plan()
  }

  /**
   * Resolves when everything taken so far is on disk, or when the disk refuses it: nobody should wait for that. What comes
   * meanwhile is not waited for: under load there is always more.
   */
  async flush(): Promise<void> {
    await this.#flushed()
  }

  /**
   * Commits until nothing waits, or until the disk refuses it; what comes later (a connection that ends last) is left to
   * the recovery at the next start.
   */
  async close(): Promise<void> {
    while (this.#running !== null || this.#hasMore) if (!(await this.#flushed())) break
    this.#isClosed = true
    this.#cancelPlan?.()
    this.#cancelPlan = null
    this.#cancelRetry?.()
  }

  /** A round for what a commit has taken already, one for each that is in line, and one for what is gathered. */
  async #flushed(): Promise<boolean> {
    for (let rounds = this.#line.length + 2; rounds > 0; rounds--) {
      if (this.#running === null) {
        if (!this.#hasMore) return true
        this.#commit()
      }
      if (!(await this.#running)) return false
    }
    return true
  }

  #plan(): void {
    if (this.#isClosed) return
    if (this.#cancelPlan !== null || this.#running !== null || this.#cancelRetry !== null) return
    this.#cancelPlan = this.#timers.after(gatherMs, () => this.#commit())
  }

  get #hasMore(): boolean {
    return this.#line.length > 0 || !isEmpty(this.#next)
  }

  /** What comes next goes into another commit when this one has enough, unless too many wait. */
  #makeRoom(): void {
    if (this.#next.settlements.length < commitSettlementsMax || this.#line.length >= lineMax) return
    this.#line.push(this.#next)
    this.#next = gathered()
  }

  #commit(): void {
    let batch = this.#line.shift()
    if (batch === undefined) {
      batch = this.#next
      this.#next = gathered()
    }
    this.#cancelPlan?.()
    this.#cancelPlan = null
    this.#cancelRetry?.()
    this.#cancelRetry = null
    this.#runningBytes = batch.messageBytes
    this.#running = this.#store.settle(batch).then(
      () => {
        this.#running = null
        this.#runningBytes = 0
        for (const done of batch.done) done()
        if (this.#line.length > 0) this.#commit()
        else if (!isEmpty(this.#next)) this.#plan()
        return true
      },
      error => {
        this.#running = null
        this.#runningBytes = 0
        if (isPassing(error)) this.#keep(batch)
        else tellFatal(this.#onFatal, error)
        return false
      },
    )
  }

  /** What was refused comes first in the next try, with what has come since as far as a commit holds both. */
  #keep(batch: Gathered): void {
    const isSmall = batch.settlements.length + this.#next.settlements.length <= commitSettlementsMax
    if (this.#line.length === 0 && isSmall) this.#next = together(batch, this.#next)
    else {
      this.#line.unshift(batch)
      this.#next.events = this.#next.events.slice(-eventsMax)
    }
    // Does not keep the process alive: when it is ending, the recovery at its next start settles what is left.
    this.#cancelRetry = this.#timers.after(retryMs, () => {
      this.#cancelRetry = null
      if (this.#running === null) this.#commit()
    })
  }
}

/** The store's own word on an error: refused now with nothing changed, and worth another try. */
export function isPassing(error: unknown): boolean {
  return (error as { readonly isPassing?: unknown } | null)?.isPassing === true
}

/**
 * Tells what must end the thread. What `tell` throws leaves through the event loop: as a rejection it would go to whoever
 * happens to wait here, and the thread would live on without its results.
 */
export function tellFatal(tell: (error: unknown) => void, error: unknown): void {
  try {
    tell(error)
  } catch (thrown) {
    setImmediate(() => {
      throw thrown
    })
  }
}

function gathered(): Gathered {
  return { settlements: [], giveBacks: [], messages: [], messageBytes: 0, events: [], done: [] }
}

/** `earlier` before `later`; of refusals at the door the newest. */
function together(earlier: Gathered, later: Gathered): Gathered {
  return {
    settlements: [...earlier.settlements, ...later.settlements],
    giveBacks: [...earlier.giveBacks, ...later.giveBacks],
    messages: [...earlier.messages, ...later.messages],
    messageBytes: earlier.messageBytes + later.messageBytes,
    events: [...earlier.events, ...later.events].slice(-eventsMax),
    done: [...earlier.done, ...later.done],
  }
}

function isEmpty(batch: Gathered): boolean {
  return (
    batch.settlements.length === 0 &&
    batch.giveBacks.length === 0 &&
    batch.messages.length === 0 &&
    batch.events.length === 0
  )
}
