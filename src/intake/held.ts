// How much of contents is held whole in memory, all submissions of all relay threads together.
//
// Where long lines may be encoded, a content stays in memory to its end: its beginning changes as well. Without this bound
// a few clients with such a credential could fill the memory. What would be held all the same (the size that goes into the
// store's content table) is not counted, no account may fill the room (decision 0027), and a single content always fits,
// whatever its size. The counts lie in memory that the threads share, so that the bound does not grow with the cores.

import { mayTake } from '../queue/index.ts'

/** Accounts whose keys differ by a multiple of this count as one. */
const accountSlots = 4096
/** The first word is the sum. */
const firstSlot = 1

/** The counters: one view in each relay thread, on the same memory. */
export class HeldContents {
  readonly #bytesMax: number
  readonly #bytes: BigInt64Array<SharedArrayBuffer>

  /** Memory for all threads. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((firstSlot + accountSlots) * 8)
  }

  constructor(memory: SharedArrayBuffer, bytesMax: number) {
    this.#bytes = new BigInt64Array(memory)
    this.#bytesMax = bytesMax
  }

  /** Takes room for more of one content, of which `ownBytes` are held already; false when there is none now. */
  take(accountKey: number, bytes: number, ownBytes: number): boolean {
    const slot = slotOf(accountKey)
    for (;;) {
      const held = Atomics.load(this.#bytes, 0)
      const isAlone = held === BigInt(ownBytes)
      const share = mayTake(Number(Atomics.load(this.#bytes, slot)), this.#bytesMax - Number(held))
      if (!isAlone && bytes > share) return false
      // Another thread may have come between.
      if (Atomics.compareExchange(this.#bytes, 0, held, held + BigInt(bytes)) !== held) continue
      Atomics.add(this.#bytes, slot, BigInt(bytes))
      return true
    }
  }

  release(accountKey: number, bytes: number): void {
    Atomics.sub(this.#bytes, slotOf(accountKey), BigInt(bytes))
    Atomics.sub(this.#bytes, 0, BigInt(bytes))
  }
}

function slotOf(accountKey: number): number {
  return firstSlot + (accountKey % accountSlots)
}
