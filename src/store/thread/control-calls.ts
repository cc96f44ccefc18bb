// What the control plane may ask of the store thread by name: a table from name to work in a commit of its own.

import type { ClockJump } from '../../base/index.ts'
import type { QueueAction } from '../../queue/index.ts'
import type { KeyedFilter } from '../sqlite/queue-filter.ts'
import type { StoreWriter } from '../sqlite/writer.ts'
import { restoreBuffers } from './control-codec.ts'
import type { GroupCommitter } from './group.ts'

type Work = (...args: never[]) => unknown

/** The names and what they do. */
export class ControlCalls {
  readonly #table: ReadonlyMap<string, Work>

  constructor(writer: StoreWriter, group: GroupCommitter) {
    const { accounts, actions } = writer
    const table: Record<string, Work> = {
      act: (filter: KeyedFilter, action: QueueAction, nowMs: number, limit: number, cursor: string) => {
        const freed: Buffer[] = []
        const step = group.runControl(() => actions.step(filter, action, nowMs, limit, cursor, freed))
        group.release(freed)
        return step
      },
      createAccount: (...args: Parameters<typeof accounts.createAccount>) =>
        group.runControl(() => accounts.createAccount(...args)),
      createCredential: (...args: Parameters<typeof accounts.createCredential>) =>
        group.runControl(() => accounts.createCredential(...args)),
      revokeCredential: (...args: Parameters<typeof accounts.revokeCredential>) =>
        group.runControl(() => accounts.revokeCredential(...args)),
      createDomain: (...args: Parameters<typeof accounts.createDomain>) =>
        group.runControl(() => accounts.createDomain(...args)),
      setDomainStatus: (...args: Parameters<typeof accounts.setDomainStatus>) =>
        group.runControl(() => accounts.setDomainStatus(...args)),
      updateStream: (...args: Parameters<typeof accounts.updateStream>) =>
        group.runControl(() => accounts.updateStream(...args)),
      prune: (beforeMs: number, nowMs: number, afterSeq: number, limit: number) =>
        group.runControl(() => writer.events.prune(beforeMs, nowMs, afterSeq, limit)),
      sweep: () => writer.sweep(),
      clockJumped: (jump: ClockJump, fromKey: number) =>
        group.runControl(() => writer.clockJumped(jump, fromKey)),
      checkpoint: () => writer.checkpoint(),
      probe: (nowMs: number) => group.runControl(() => writer.probe(nowMs)),
      commitFacts: () => group.tally.facts(),
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
