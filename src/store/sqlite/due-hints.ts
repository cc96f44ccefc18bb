// Remembers, for each account, a time before which none of its recipients is due, so that a
// lease looks only where work is.
//
// A hint may be too early (a look in vain), never too late. Memory grows with the accounts that have scheduled
// recipients, not with the queue.

/** Lower bounds of the next due time, by account key. */
export class DueHints {
  readonly #dueAtMs = new Map<number, number>()

  /** Work of this account is due at this time. */
  note(accountKey: number, dueAtMs: number): void {
    const known = this.#dueAtMs.get(accountKey)
    if (known === undefined || dueAtMs < known) this.#dueAtMs.set(accountKey, dueAtMs)
  }

  /** After a look: nothing is due before this time; null when nothing is scheduled at all. */
  set(accountKey: number, dueAtMs: number | null): void {
    if (dueAtMs === null) this.#dueAtMs.delete(accountKey)
    else this.#dueAtMs.set(accountKey, dueAtMs)
  }

  /** Accounts that may have due work, those after `afterKey` first, so that each gets its turn. */
  due(nowMs: number, afterKey: number): number[] {
    const keys: number[] = []
    for (const [key, dueAtMs] of this.#dueAtMs) if (dueAtMs <= nowMs) keys.push(key)
    keys.sort((a, b) => a - b)
    const split = keys.findIndex(key => key > afterKey)
    return split <= 0 ? keys : [...keys.slice(split), ...keys.slice(0, split)]
  }
}
