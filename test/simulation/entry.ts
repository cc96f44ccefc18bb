// A recipient as the ledger of a simulation knows it, and how a broken rule is told.

import type { OutcomeFacts } from '../../src/events/index.ts'
import type { WaitReason } from '../../src/queue/index.ts'

/** One recipient. */
export interface Entry {
  readonly id: string
  readonly path: string
  readonly accountKey: number
  readonly priority: number
  readonly isReport: boolean
  /** Who is to be told of failures and delays; null: nobody. */
  readonly sender: string | null
  /** See `notifyBits`. */
  readonly notify: number
  readonly acceptedAtMs: number
  expiresAtMs: number
  /** By so much it may expire earlier, since the wall clock was set back meanwhile. */
  earlierMs: number
  attempts: number
  /** As its row should say while it waits. */
  state: 'scheduled' | 'held'
  nextAttemptAtMs: number
  reason: WaitReason
  /** The host dropped us before it answered: it may count as unreachable or not. */
  isDropped: boolean
  /** The thread that leased it; null while nobody has it. */
  owner: number | null
  /** Transactions that run for it now. */
  running: number
  final: OutcomeFacts['outcome']['kind'] | null
  /** The process was told that it is refused for good. */
  isRefused: boolean
  isDelayNotified: boolean
  /** Times a peer took it. */
  taken: number
  /** An outcome said that a peer may have it although it did not say so. */
  wasUncertain: boolean
  /** Virtual time, monotonic: since when it is somebody's turn. */
  sinceMs: number
  firstAttemptMs: number | null
  /** Virtual time, monotonic, of the acceptance. */
  readonly acceptedMs: number
}

/** A broken rule ends the simulation. */
export function fail(rule: string): never {
  throw new Error(rule)
}
