// What the control plane may ask of the store thread by name: a table from name to work in a commit of its own.

import type { StoreWriter } from '../sqlite/writer.ts'
import { restoreBuffers } from './control-codec.ts'
import type { GroupCommitter } from './group.ts'

type Work = (...args: never[]) => unknown

/** The names and what they do. */
export class ControlCalls {
  readonly #table: ReadonlyMap<string, Work>

  constructor(writer: StoreWriter, group: GroupCommitter) {
    const table: Record<string, Work> = {
      prune: (beforeMs: number, limit: number) =>
        group.runControl(() => writer.events.prune(beforeMs, limit)),
      sweep: () => writer.segments.sweep(),
      threadCpu: () => process.threadCpuUsage(),
    }
    this.#table = new Map(Object.entries(table))
  }

  /** Runs one call. Throws what it throws. */
  run(name: string, args: readonly unknown[]): unknown {
    const work = this.#table.get(name)
    if (work === undefined) throw new Error(`the store knows no call named ${name}`)
    return work(...(args.map(restoreBuffers) as never[]))
  }
}
