// A bounded memory of results with a time of death each; the least recently used goes first.
//
// A `Map` keeps insertion order, so using an entry moves it to the end and the first key is the oldest.
// The clock is monotonic; entries past their time are never given out. Entries may have weights, such as their bytes:
// then these are bounded together too, since some are a thousand times as large as others.

interface Entry<V> {
  readonly value: V
  readonly expiresAtMs: number
  readonly weight: number
}

/** A bound on what all entries weigh together. */
export interface WeightBound<V> {
  readonly weightMax: number
  weightOf(value: V, key: string): number
}

/** Key to value with a life in milliseconds and a bound on the number of entries, and on their weight where one is given. */
export class TtlCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #entriesMax: number
  readonly #monotonicMs: () => number
  readonly #bound: WeightBound<V>
  #weight = 0

  constructor(entriesMax: number, monotonicMs: () => number, bound?: WeightBound<V>) {
    this.#entriesMax = entriesMax
    this.#monotonicMs = monotonicMs
    this.#bound = bound ?? { weightMax: 0, weightOf: () => 0 }
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value and the life left, or undefined. */
  get(key: string): { readonly value: V; readonly leftMs: number } | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const leftMs = entry.expiresAtMs - this.#monotonicMs()
    if (leftMs <= 0) {
      this.#forget(key, entry)
      return undefined
    }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return { value: entry.value, leftMs }
  }

  /** Remembers a value; a life of 0 or less forgets the key. */
  set(key: string, value: V, ttlMs: number): void {
    const known = this.#entries.get(key)
    if (known !== undefined) this.#forget(key, known)
    if (ttlMs <= 0 || this.#entriesMax <= 0) return
    const weight = this.#bound.weightOf(value, key)
    this.#weight += weight
    this.#entries.set(key, { value, expiresAtMs: this.#monotonicMs() + ttlMs, weight })
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.#entriesMax && this.#weight <= this.#bound.weightMax) return
      this.#forget(oldest, entry)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }

  #forget(key: string, entry: Entry<V>): void {
    this.#entries.delete(key)
    this.#weight -= entry.weight
  }
}
