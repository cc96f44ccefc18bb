/** DNS of the bench's domains as a child process; see dns.ts and child.ts. */
import { answerCalls } from './child.ts'
import { type DomainGroup, startBenchDns } from './dns.ts'

const calls = {
  /** @returns the port. */
  start: async (groups: readonly DomainGroup[]): Promise<number> => await startBenchDns(groups),
}

export type DnsCalls = typeof calls

answerCalls(calls)
