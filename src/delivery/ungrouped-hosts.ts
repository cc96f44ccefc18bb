// Hosts that lose a command when it comes in one write with the end of a content, though they offer PIPELINING.
//
// Place on the path: asked before a connection is opened; told when one stood still (decision 0033). For a day such a host gets
// each transaction only after the answer to the one before; what leaves within a transaction stays grouped.
// Times are monotonic. Bounded: beyond `entriesMax` the oldest is forgotten, which costs another wait.

const entriesMax = 10_000
const rememberedMs = 86_400_000

/** Memory of one thread, by `address:port`. */
export class UngroupedHosts {
  readonly #untilMs = new Map<string, number>()

  has(remoteAddress: string, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(remoteAddress)
    return untilMs !== undefined && nowMs < untilMs
  }

  clear(): void {
    this.#untilMs.clear()
  }

  note(remoteAddress: string, nowMs: number): void {
    this.#untilMs.delete(remoteAddress)
    this.#untilMs.set(remoteAddress, nowMs + rememberedMs)
    if (this.#untilMs.size > entriesMax) {
      const oldest = this.#untilMs.keys().next()
      if (oldest.done !== true) this.#untilMs.delete(oldest.value)
    }
  }
}
