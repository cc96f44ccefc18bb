// Remembers what the lab has done to a message and recipient before: how often it failed it, when it first saw it.
//
// Bounded: the oldest entries go first. A message is known by sender, recipient and ENVID or SIZE, since nothing else
// is known at RCPT.

const entriesMax = 100_000

/** Counts and first times, by key. */
export class Attempts {
  readonly #counts = new Map<string, number>()
  readonly #firstMs = new Map<string, number>()

  /** True when this one is to fail: the first `times` of a key (null: all). The count starts anew after that. */
  shouldFail(key: string, times: number | null): boolean {
    if (times === null) return true
    const count = this.#counts.get(key) ?? 0
    if (count >= times) {
      this.#counts.delete(key)
      return false
    }
    remember(this.#counts, key, count + 1)
    return true
  }

  /** When the key was seen first; now, if never. */
  firstSeenMs(key: string, nowMs: number): number {
    const firstMs = this.#firstMs.get(key)
    if (firstMs !== undefined) return firstMs
    remember(this.#firstMs, key, nowMs)
    return nowMs
  }
}

function remember(map: Map<string, number>, key: string, value: number): void {
  map.set(key, value)
  if (map.size <= entriesMax) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
