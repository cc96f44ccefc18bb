// The lab's inbox: what its hosts took, as it came, bounded in messages and bytes.
//
// The last thing on a message's path in the lab. In memory; the oldest go when a bound is reached.

import type { MailParameters, RcptParameters } from '../protocol/smtp/index.ts'

/** A message that arrived. */
export interface InboxEntry {
  /** `lab_1` and so on, in the order of arrival. */
  readonly id: string
  readonly receivedAtMs: number
  /** The host that took it, for instance `mx1.lab.test`. */
  readonly host: string
  /** '' for the null reverse-path. */
  readonly reversePath: string
  readonly mailParameters: MailParameters
  readonly recipients: readonly InboxRecipient[]
  /** null: it came in the clear. */
  readonly tls: { readonly protocol: string; readonly cipher: string } | null
  readonly client: { readonly address: string; readonly port: number; readonly helloName: string }
  /** Exactly as received, dot-stuffing undone; do not change it. */
  readonly content: Buffer
}

export interface InboxRecipient {
  readonly forwardPath: string
  readonly parameters: RcptParameters
}

/** Bounds of an inbox. */
export interface InboxLimits {
  readonly messagesMax: number
  readonly bytesMax: number
}

export const defaultInboxLimits: InboxLimits = { messagesMax: 10_000, bytesMax: 64 * 1024 * 1024 }

interface Waiter {
  readonly check: () => boolean
}

/** What arrived, newest last. */
export class Inbox {
  readonly #limits: InboxLimits
  readonly #entries = new Map<string, InboxEntry>()
  readonly #waiters = new Set<Waiter>()
  #count = 0
  #bytes = 0

  constructor(limits: InboxLimits = defaultInboxLimits) {
    this.#limits = limits
  }

  /** Messages that ever arrived, also those that had to go. */
  get received(): number {
    return this.#count
  }

  add(message: Omit<InboxEntry, 'id'>): InboxEntry {
    this.#count++
    const entry: InboxEntry = { id: `lab_${this.#count}`, ...message }
    this.#entries.set(entry.id, entry)
    this.#bytes += entry.content.length
    for (const oldest of this.#entries.values()) {
      const isFull = this.#entries.size > this.#limits.messagesMax || this.#bytes > this.#limits.bytesMax
      // The newest stays, however large it is.
      if (!isFull || oldest === entry) break
      this.#remove(oldest)
    }
    for (const waiter of this.#waiters) if (waiter.check()) this.#waiters.delete(waiter)
    return entry
  }

  /** All entries, oldest first. */
  list(): InboxEntry[] {
    return [...this.#entries.values()]
  }

  get(id: string): InboxEntry | undefined {
    return this.#entries.get(id)
  }

  /** Forgets everything that is there; returns how many it was. */
  clear(): number {
    const count = this.#entries.size
    this.#entries.clear()
    this.#bytes = 0
    return count
  }

  /** Resolves with the first entry that matches, there already or still to come; rejects after `timeoutMs` (default 30 s). */
  async waitFor(predicate: (entry: InboxEntry) => boolean, timeoutMs = 30_000): Promise<InboxEntry> {
    let found: InboxEntry | undefined
    await this.#until(
      () => {
        found = this.list().find(predicate)
        return found !== undefined
      },
      timeoutMs,
      () => `no matching message arrived in the lab’s inbox (${this.#entries.size} others are there)`,
    )
    return found!
  }

  /** Resolves when so many messages have ever arrived. */
  async waitForCount(count: number, timeoutMs = 30_000): Promise<void> {
    await this.#until(
      () => this.#count >= count,
      timeoutMs,
      () => `${this.#count} of ${count} messages arrived in the lab’s inbox`,
    )
  }

  async #until(check: () => boolean, timeoutMs: number, failure: () => string): Promise<void> {
    if (check()) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = {
      check: () => {
        const isDone = check()
        if (isDone) resolve()
        return isDone
      },
    }
    this.#waiters.add(waiter)
    const timer = setTimeout(() => reject(new Error(`${failure()} within ${timeoutMs} ms`)), timeoutMs)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  #remove(entry: InboxEntry): void {
    this.#entries.delete(entry.id)
    this.#bytes -= entry.content.length
  }
}
