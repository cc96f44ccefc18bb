// Gathers the results of attempts into commits: whatever settles while the last commit runs goes into the next.
//
// Place on the path: between delivery (which calls settle and goes on) and the store. Each result's `done` runs after
// its commit is on disk. A failed commit is fatal for the thread: what it did is then settled by the recovery at start.

import type { NewEvent } from '../events/index.ts'
import type { NewMessage } from './message.ts'
import type { GiveBack, QueueStore, Settlement } from './port.ts'

interface Gathered {
  settlements: Settlement[]
  giveBacks: GiveBack[]
  messages: NewMessage[]
  events: NewEvent[]
  done: (() => void)[]
}

/** One per relay thread. */
export class Settler {
  readonly #store: Pick<QueueStore, 'settle'>
  readonly #onFatal: (error: unknown) => void
  #next: Gathered = gathered()
  #running: Promise<void> | null = null
  #isPlanned = false

  constructor(store: Pick<QueueStore, 'settle'>, onFatal: (error: unknown) => void) {
    this.#store = store
    this.#onFatal = onFatal
  }

  /** Results waiting for a commit, for back-pressure and metrics. */
  get waiting(): number {
    return this.#next.settlements.length
  }

  /** Takes a result, with the DSNs that it makes: both in one commit. `done` runs after it. */
  settle(settlement: Settlement, messages: readonly NewMessage[], done: (() => void) | null): void {
    this.#next.settlements.push(settlement)
    for (const message of messages) this.#next.messages.push(message)
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

  /** Resolves when everything taken so far is on disk. */
  async flush(): Promise<void> {
    while (this.#running !== null || !isEmpty(this.#next)) {
      if (this.#running === null) this.#commit()
      await this.#running
    }
  }

  #plan(): void {
    if (this.#isPlanned || this.#running !== null) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      if (this.#running === null && !isEmpty(this.#next)) this.#commit()
    })
  }

  #commit(): void {
    const batch = this.#next
    this.#next = gathered()
    this.#running = this.#store.settle(batch).then(
      () => {
        this.#running = null
        for (const done of batch.done) done()
        if (!isEmpty(this.#next)) this.#plan()
      },
      error => {
        this.#running = null
        this.#onFatal(error)
      },
    )
  }
}

function gathered(): Gathered {
  return { settlements: [], giveBacks: [], messages: [], events: [], done: [] }
}

function isEmpty(batch: Gathered): boolean {
  return (
    batch.settlements.length === 0 &&
    batch.giveBacks.length === 0 &&
    batch.messages.length === 0 &&
    batch.events.length === 0
  )
}
