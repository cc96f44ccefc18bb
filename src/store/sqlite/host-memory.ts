// Durable memory of which MX hosts spoke TLS, one instance a thread: answers from memory,
// writes at most once a day a host.
//
// A host that this thread has not met with TLS is looked up in the table, at most once a second, so that one thread's
// success binds the others after a second; memory is bounded by forgetting the hosts met first.

import type { HostMemory } from '../../delivery/index.ts'
import type { Database, Statement } from './database.ts'

const hostsMax = 50_000
const writeEveryMs = 24 * 3600 * 1000
const lookAgainMs = 1_000

interface Known {
  readonly atMs: number
  /** When the table was asked. */
  readonly askedAtMs: number
}

export class SqliteHostMemory implements HostMemory {
  readonly #select: Statement
  readonly #write: (host: string, atMs: number) => void
  readonly #nowMs: () => number
  readonly #hosts = new Map<string, Known>()

  /** @param write hands a success to the store thread. */
  constructor(db: Database, write: (host: string, atMs: number) => void, nowMs: () => number) {
    this.#select = db.prepare('SELECT at_ms FROM host_tls WHERE host = ?')
    this.#write = write
    this.#nowMs = nowMs
  }

  lastTlsAtMs(host: string): number {
    const nowMs = this.#nowMs()
    const known = this.#hosts.get(host)
    const isFresh = (atMs: number, forMs: number): boolean => nowMs - atMs < forMs
    if (known !== undefined && (isFresh(known.atMs, writeEveryMs) || isFresh(known.askedAtMs, lookAgainMs)))
      return known.atMs
    const atMs = this.#read(host)
    // A disk that cannot be read must not open the way to clear text: as if TLS had worked just now.
    if (atMs === null) return nowMs
    this.#keep(host, { atMs, askedAtMs: nowMs })
    return atMs
  }

  #read(host: string): number | null {
    try {
      const row = this.#select.get(host) as unknown as [number] | undefined
      return row?.[0] ?? 0
    } catch {
      return null
    }
  }

  noteTls(host: string, atMs: number): void {
    const lastMs = this.lastTlsAtMs(host)
    if (atMs - lastMs < writeEveryMs) return
    this.#keep(host, { atMs, askedAtMs: atMs })
    this.#write(host, atMs)
  }

  #keep(host: string, known: Known): void {
    if (this.#hosts.size >= hostsMax) this.#hosts.delete(this.#hosts.keys().next().value!)
    this.#hosts.set(host, known)
  }
}
