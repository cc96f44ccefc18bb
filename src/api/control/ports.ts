// What the control server needs of the running program; src/app builds it.
//
// Each group of commands takes only the part it uses.

import type { AccountReader, AccountService } from '../../accounts/index.ts'
import type { Clock } from '../../base/index.ts'
import type { EventReader } from '../../events/index.ts'
import type { QueueControl } from '../../queue/index.ts'
import type { Log } from '../../telemetry/index.ts'

/** What a control command may ask of the relay threads. */
export interface ControlThreads {
  /** Resolves when every thread has forgotten what it had cached of accounts: the change is then in force everywhere. */
  accountsChanged(): Promise<void>
  /**
   * Ready recipients that are not in flight go back to the scheduled queue, so that queue actions can see them.
   * Resolves with how many, after their commit. Nothing is leased until `wake`, so that a recalled recipient is not
   * gone again before the action comes to it.
   */
  recall(): Promise<number>
  /** Something may be due now; leasing goes on after a recall. */
  wake(): void
}

/** A listener that is open. */
export interface ListenerFacts {
  readonly kind: string
  /** IP address. */
  readonly host: string
  /** The real one, also when the configuration says 0. */
  readonly port: number
}

/** Facts about the running server that do not change. */
export interface ServerFacts {
  readonly hostname: string
  readonly dataDir: string
  readonly version: string
  readonly processId: number
  readonly startedAtMs: number
  readonly listeners: readonly ListenerFacts[]
  /** `http://address:port`, or null without an HTTP door. */
  readonly http: string | null
  readonly isLabOn: boolean
}

/** A command of the lab: what it answers is shown as it is; it throws an error whose message is for people. */
export type LabCommand = (given: Readonly<Record<string, unknown>>) => Promise<unknown>

/** Everything together. */
export interface ControlPorts {
  /** The main thread's reader. */
  readonly accounts: AccountReader
  readonly accountService: AccountService
  readonly queue: QueueControl
  readonly events: EventReader
  readonly threads: ControlThreads
  readonly clock: Clock
  /** Told of every change that an operator makes, once it is made. */
  readonly log: Pick<Log, 'event'>
  readonly facts: ServerFacts
  /** The lab's commands by their full names (`lab.inbox.list` and so on); null when the lab is off. */
  readonly lab: Readonly<Record<string, LabCommand>> | null
  /** Starts the graceful end; returns at once. */
  readonly shutdown: () => void
}
