// What the doors of all relay threads count together: sessions in all, connections and their rate for each host.
//
// Place on the path: asked for each connection, before anything else. The kernel spreads connections over the threads by
// chance: a thread that counted only its own would turn away a host that is far below its bound, the sooner the more
// cores there are. So the counts lie in memory that all threads share; hosts share a slot by a seeded hash. With 65,536
// slots it hardly happens that two busy hosts meet, and nobody can choose whom he meets.
// Counts may be off by one a thread for a moment; nothing waits for a lock.

import { seededHash } from './seeded-hash.ts'

const slotCount = 65_536
const headWords = 2
const wordsPerSlot = 3

// Words of the head: the seed of the hash, and the sessions of all threads.
const seedAt = 0
const sessionsAt = 1
// Words of a slot: open connections, the running minute, and the connections that were made in it.
const openAt = 0
const minuteAt = 1
const recentAt = 2

/** Which bound a host has reached. */
export type HostBound = 'open' | 'rate'

/** One view of the shared counts; each thread has its own on the same memory. */
export class DoorCounts {
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #seed: number

  /** Memory for all threads. @param seed random */
  static allocate(seed: number): SharedArrayBuffer {
    const memory = new SharedArrayBuffer((headWords + slotCount * wordsPerSlot) * 4)
    new Int32Array(memory)[seedAt] = seed
    return memory
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
    this.#seed = this.#words[seedAt]!
  }

  /** Of all threads. */
  get sessions(): number {
    return Atomics.load(this.#words, sessionsAt)
  }

  sessionBegan(): void {
    Atomics.add(this.#words, sessionsAt, 1)
  }

  sessionEnded(): void {
    Atomics.sub(this.#words, sessionsAt, 1)
  }

  /** Connections that the host has open. */
  open(host: string): number {
    return Atomics.load(this.#words, this.#slotOf(host) + openAt)
  }

  /** Counts a connection of this host, unless it has reached a bound; then says which. */
  enter(host: string, openMax: number, perMinuteMax: number, nowMs: number): HostBound | null {
    const words = this.#words
    const slot = this.#slotOf(host)
    const minute = Math.floor(nowMs / 60_000) | 0
    if (Atomics.load(words, slot + minuteAt) !== minute) {
      Atomics.store(words, slot + minuteAt, minute)
      Atomics.store(words, slot + recentAt, 0)
    }
    if (Atomics.load(words, slot + openAt) >= openMax) return 'open'
    if (Atomics.load(words, slot + recentAt) >= perMinuteMax) return 'rate'
    Atomics.add(words, slot + openAt, 1)
    Atomics.add(words, slot + recentAt, 1)
    return null
  }

  /** A connection that was counted has ended. */
  leave(host: string): void {
    Atomics.sub(this.#words, this.#slotOf(host) + openAt, 1)
  }

  #slotOf(host: string): number {
    return headWords + (seededHash(host, this.#seed) & (slotCount - 1)) * wordsPerSlot
  }
}
