// A bounded memory of results with a time of death each; the least recently used goes first.
//
// A `Map` keeps insertion order, so using an entry moves it to the end and the first key is the oldest.
// The clock is monotonic; entries past their time are never given out.

interface Entry<V> {
  readonly value: V
  readonly expiresAtMs: number
}

/** Key to value with a life in milliseconds and a bound on the number of entries. */
export class TtlCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #entriesMax: number
  readonly #monotonicMs: () => number

  constructor(entriesMax: number, monotonicMs: () => number) {
    this.#entriesMax = entriesMax
    this.#monotonicMs = monotonicMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value and the life left, or undefined. */
  get(key: string): { readonly value: V; readonly leftMs: number } | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const leftMs = entry.expiresAtMs - this.#monotonicMs()
    this.#entries.delete(key)
    if (leftMs <= 0) return undefined
    this.#entries.set(key, entry)
    return { value: entry.value, leftMs }
  }

  /** Remembers a value; a life of 0 or less forgets the key. */
  set(key: string, value: V, ttlMs: number): void {
    this.#entries.delete(key)
    if (ttlMs <= 0 || this.#entriesMax <= 0) return
    if (this.#entries.size >= this.#entriesMax) {
      const oldest = this.#entries.keys().next()
      if (oldest.done !== true) this.#entries.delete(oldest.value)
    }
    this.#entries.set(key, { value, expiresAtMs: this.#monotonicMs() + ttlMs })
  }

  clear(): void {
    this.#entries.clear()
  }
}
