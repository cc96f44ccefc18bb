// The control plane's side: account changes and queue actions over the line to the store thread, queue reads through a
// read-only connection. For the main thread.
//
// Place: behind the control socket, off the path of mail. Every call is one commit of the store thread or one page read.

import type { Account, AccountStore, Credential, Domain, DomainKey, Stream } from '../../accounts/index.ts'
import type { ClockJump } from '../../base/index.ts'
import type { MessageRow, QueueAction, QueueControl, QueueFilter, QueueRow } from '../../queue/index.ts'
import type { ActionStep } from '../sqlite/actions.ts'
import type { PruneStep } from '../sqlite/event-writer.ts'
import type { Page, QueueReader, StateCounts } from '../sqlite/queue-reader.ts'
import type { HoldFault } from '../sqlite/segment-hold.ts'
import type { StoreConnection } from './connection.ts'
import { restoreBuffers } from './control-codec.ts'

async function ask<T>(connection: StoreConnection, name: string, ...args: unknown[]): Promise<T> {
  return restoreBuffers((await connection.call(name, args)) as T)
}

/** AccountStore over a line to the store thread. */
export class AccountClient implements AccountStore {
  readonly #connection: StoreConnection

  constructor(connection: StoreConnection) {
    this.#connection = connection
  }

  createAccount(
    account: Omit<Account, 'key'>,
    stream: Omit<Stream, 'key' | 'accountKey'>,
  ): Promise<Account | 'exists'> {
    return ask(this.#connection, 'createAccount', account, stream)
  }

  createCredential(credential: Omit<Credential, 'key'>): Promise<Credential | 'exists'> {
    return ask(this.#connection, 'createCredential', credential)
  }

  revokeCredential(key: number, atMs: number): Promise<boolean> {
    return ask(this.#connection, 'revokeCredential', key, atMs)
  }

  createDomain(
    domain: Omit<Domain, 'key'>,
    keys: readonly Omit<DomainKey, 'key' | 'domainKey'>[],
  ): Promise<Domain | 'exists'> {
    return ask(this.#connection, 'createDomain', domain, keys)
  }

  setDomainStatus(key: number, status: Domain['status']): Promise<boolean> {
    return ask(this.#connection, 'setDomainStatus', key, status)
  }

  updateStream(
    key: number,
    change: Partial<Pick<Stream, 'kind' | 'failureReport' | 'priority'>>,
  ): Promise<boolean> {
    return ask(this.#connection, 'updateStream', key, change)
  }
}

/** QueueControl: reads here, acts in the store thread. */
export class ControlClient implements QueueControl {
  readonly #connection: StoreConnection
  readonly #reader: QueueReader
  readonly #nowMs: () => number

  constructor(connection: StoreConnection, reader: QueueReader, nowMs: () => number) {
    this.#connection = connection
    this.#nowMs = nowMs
    this.#reader = reader
  }

  list(filter: QueueFilter, cursor: string, limit: number): Promise<Page<QueueRow>> {
    return this.#reader.list(filter, cursor, limit)
  }

  count(filter: QueueFilter): Promise<StateCounts> {
    return this.#reader.count(filter)
  }

  messages(filter: QueueFilter, cursor: string, limit: number): Promise<Page<MessageRow>> {
    return this.#reader.messages(filter, cursor, limit)
  }

  message(id: Buffer): Promise<MessageRow | null> {
    return this.#reader.message(id)
  }

  /**
   * Walks on over windows without a match, so that `done` 0 means: the end. The message that a filter names is looked for
   * here, not in the store thread, which all mail waits for.
   */
  async act(
    filter: QueueFilter,
    action: QueueAction,
    nowMs: number,
    limit: number,
    cursor: string = '',
  ): Promise<ActionStep> {
    const keyed = await this.#reader.findMessage(filter)
    if (keyed === null) return { done: 0, cursor: null }
    let at = cursor
    for (;;) {
      const step = await ask<ActionStep>(this.#connection, 'act', keyed, action, nowMs, limit, at)
      if (step.done > 0 || step.cursor === null) return step
      at = step.cursor
    }
  }

  /**
   * Deletes events from before `beforeMs`, never the newest: in steps with a commit each, between which the store serves
   * what has come meanwhile.
   * @returns how many are gone.
   */
  async pruneEvents(beforeMs: number): Promise<number> {
    const stepRows = 500
    let total = 0
    for (let at: number | null = 0; at !== null; ) {
      const step: PruneStep = await ask(this.#connection, 'prune', beforeMs, this.#nowMs(), at, stepRows)
      total += step.gone
      at = step.cursor
    }
    return total
  }

  /** The wall clock jumped: moves the times of waiting mail along, in steps. May be called again after it failed. */
  async clockJumped(jump: ClockJump): Promise<void> {
    for (let from: number | null = 0; from !== null; )
      from = await ask<number | null>(this.#connection, 'clockJumped', jump, from)
  }

  /**
   * Deletes dead segments that a backup had held back; call now and then.
   * @returns why none can ever be deleted; null when nothing but a running backup, or a passing trouble, is in the way.
   */
  sweepSegments(): Promise<HoldFault | null> {
    return ask(this.#connection, 'sweep')
  }
}
