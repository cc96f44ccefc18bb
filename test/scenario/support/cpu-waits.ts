// How long the threads of a process waited for a core, as the kernel counts it: time in which it is not they who are slow.

import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** See the head of the file. Linux only; elsewhere nobody ever waits. */
export class CpuWaits {
  readonly #folder: string
  #waitedNs: ReadonlyMap<string, number>

  constructor(processId: number) {
    this.#folder = `/proc/${processId}/task`
    this.#waitedNs = this.#read()
  }

  /** What the thread waited that waited longest since the last look, in milliseconds. */
  takeMs(): number {
    const before = this.#waitedNs
    this.#waitedNs = this.#read()
    const waited = [...this.#waitedNs].map(([thread, ns]) => ns - (before.get(thread) ?? 0))
    return Math.max(0, ...waited) / 1e6
  }

  #read(): Map<string, number> {
    const waitedNs = new Map<string, number>()
    if (!existsSync(this.#folder)) return waitedNs
    for (const thread of readdirSync(this.#folder)) {
      try {
        // Time on a core, time waiting for one, turns.
        const [, ns] = readFileSync(`${this.#folder}/${thread}/schedstat`, 'utf8').split(' ')
        waitedNs.set(thread, Number(ns))
      } catch {
        // The thread has ended, or this kernel does not count.
      }
    }
    return waitedNs
  }
}
