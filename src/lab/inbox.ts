// The lab's inbox: what its hosts took, as it came, bounded in messages and bytes.
//
// The last thing on a message's path in the lab. In memory, with copies in a folder when there is one; the oldest
// entries go when a bound is reached, and their copies with them.

import type { MailParameters, RcptParameters } from '../protocol/smtp/index.ts'
import type { InboxFiles } from './inbox-files.ts'

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

/** One accepted RCPT of it. */
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

const defaultTimeoutMs = 30_000

/** What arrived, newest last. */
export class Inbox {
  readonly #limits: InboxLimits
  readonly #files: InboxFiles | null
  readonly #entries = new Map<string, InboxEntry>()
  readonly #listeners = new Set<(entry: InboxEntry) => void>()
  #number = 0
  #received = 0
  #bytes = 0

  /** With `files`, what is in the folder already is there from the start. */
  constructor(limits: InboxLimits = defaultInboxLimits, files: InboxFiles | null = null) {
    this.#limits = limits
    this.#files = files
    for (const entry of files?.load() ?? []) {
      this.#number = Number(entry.id.slice(entry.id.indexOf('_') + 1))
      this.#keep(entry)
    }
  }

  /** Messages that arrived since the start, also those that had to go. */
  get received(): number {
    return this.#received
  }

  /** Why the last copy on disk failed; null when all is well or no folder was named. */
  get fault(): string | null {
    return this.#files?.fault ?? null
  }

  /** Takes a message in and tells the listeners. */
  add(message: Omit<InboxEntry, 'id'>): InboxEntry {
    this.#number++
    this.#received++
    const entry: InboxEntry = { id: `lab_${this.#number}`, ...message }
    this.#files?.save(entry)
    this.#keep(entry)
    for (const listener of this.#listeners) listener(entry)
    return entry
  }

  /** Calls `listener` with each new entry until the returned function is called. */
  subscribe(listener: (entry: InboxEntry) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
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
    const all = this.list()
    for (const entry of all) this.#remove(entry)
    return all.length
  }

  /** Resolves with the first entry that matches, there already or still to come; rejects after `timeoutMs` (30 s). */
  async waitFor(
    predicate: (entry: InboxEntry) => boolean,
    timeoutMs: number = defaultTimeoutMs,
  ): Promise<InboxEntry> {
    let found = this.list().find(predicate)
    const isThere = (entry?: InboxEntry): boolean => {
      if (found === undefined && entry !== undefined && predicate(entry)) found = entry
      return found !== undefined
    }
    const others = (): string =>
      `no matching message arrived in the lab’s inbox, which has ${this.#entries.size}`
    await this.#until(isThere, timeoutMs, others)
    return found!
  }

  /** Resolves when so many messages have arrived since the start; rejects after `timeoutMs` (30 s). */
  async waitForCount(count: number, timeoutMs: number = defaultTimeoutMs): Promise<void> {
    const isThere = (): boolean => this.#received >= count
    await this.#until(
      isThere,
      timeoutMs,
      () => `${this.#received} of ${count} messages arrived in the lab’s inbox`,
    )
  }

  /** Resolves when the copies on disk are written. */
  settled(): Promise<void> {
    return this.#files?.settled() ?? Promise.resolve()
  }

  async #until(
    isThere: (entry?: InboxEntry) => boolean,
    timeoutMs: number,
    failure: () => string,
  ): Promise<void> {
    if (isThere()) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const unsubscribe = this.subscribe(entry => {
      if (isThere(entry)) resolve()
    })
    const timer = setTimeout(() => reject(new Error(`${failure()} within ${timeoutMs} ms`)), timeoutMs)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      unsubscribe()
    }
  }

  #keep(entry: InboxEntry): void {
    this.#entries.set(entry.id, entry)
    this.#bytes += entry.content.length
    for (const oldest of this.#entries.values()) {
      const isFull = this.#entries.size > this.#limits.messagesMax || this.#bytes > this.#limits.bytesMax
      // The newest stays, however large it is.
      if (!isFull || oldest === entry) return
      this.#remove(oldest)
    }
  }

  #remove(entry: InboxEntry): void {
    this.#entries.delete(entry.id)
    this.#bytes -= entry.content.length
    this.#files?.remove(entry.id)
  }
}
