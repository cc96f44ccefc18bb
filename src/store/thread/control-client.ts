// The control plane's side: account changes and queue actions over the line to the store thread, queue reads through a
// read-only connection. For the main thread.
//
// Place: behind the control socket, off the path of mail. Every call is one commit of the store thread or one page read.

import type { Account, AccountStore, Credential, Domain, DomainKey, Stream } from '../../accounts/index.ts'
import type { ClockJump } from '../../base/index.ts'
import type { MessageRow, QueueAction, QueueControl, QueueFilter, QueueRow } from '../../queue/index.ts'
import type { ActionStep } from '../sqlite/actions.ts'
import type { Page, QueueReader, StateCounts } from '../sqlite/queue-reader.ts'
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

  constructor(connection: StoreConnection, reader: QueueReader) {
    this.#connection = connection
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

  async message(id: Buffer): Promise<MessageRow | null> {
    return this.#reader.message(id)
  }

  /** Walks on over windows without a match, so that `done` 0 means: the end. */
  async act(
    filter: QueueFilter,
    action: QueueAction,
    nowMs: number,
    limit: number,
    cursor: string = '',
  ): Promise<ActionStep> {
    let at = cursor
    for (;;) {
      const step = await ask<ActionStep>(this.#connection, 'act', filter, action, nowMs, limit, at)
      if (step.done > 0 || step.cursor === null) return step
      at = step.cursor
    }
  }

  /**
   * Deletes events from before `beforeMs`, a step at a time with pauses between, never the newest.
   * @returns how many are gone.
   */
  async pruneEvents(beforeMs: number): Promise<number> {
    const stepRows = 500
    for (let total = 0; ; ) {
      const gone = await ask<number>(this.#connection, 'prune', beforeMs, stepRows)
      total += gone
      if (gone === 0) return total
    }
  }

  /** The wall clock jumped: moves the times of waiting mail along, in steps. May be called again after it failed. */
  async clockJumped(jump: ClockJump): Promise<void> {
    for (let from: number | null = 0; from !== null; )
      from = await ask<number | null>(this.#connection, 'clockJumped', jump, from)
  }

  /** Deletes dead segments that a backup had held back; call now and then. */
  sweepSegments(): Promise<void> {
    return ask(this.#connection, 'sweep')
  }
}
