// Group commit: everything that has arrived goes into one transaction; answers leave only after its COMMIT is on disk.
//
// 1. Sync the segments that the group's contents lie in; accepts that name one whose sync failed fail.
// 2. BEGIN; apply every operation in order; COMMIT (fsync).
// 3. When anything fails, roll back and try each operation once in a transaction of its own, so that one bad message or
//    a disk that is nearly full does not fail the others. Unless another program holds the database: each would wait as
//    long as the group has, in vain.
// 4. What follows a COMMIT (segments freed) cannot undo it: a fault there must not fail what is on disk.
// 5. After a failed fsync or a damaged page the connection is not used again: this group and all later ones fail at
//    once, `onFatal` is told, and the process is expected to end and start anew from what is on disk.

import { isPassingCode, type PackedStoreError, packError } from '../errors.ts'
import { type RawMessage, unpackExtents } from '../format/index.ts'
import type { StoreWriter } from '../sqlite/writer.ts'
import { CommitTally } from './commit-tally.ts'
import type { Reply } from './reply-codec.ts'
import type { Request } from './request-codec.ts'

/** What happens besides rows, once the transaction is committed. */
interface Effects {
  readonly added: Buffer[]
  readonly freed: Buffer[]
}

/** Told about the disk, for log and readiness. */
export interface CommitObserver {
  /** The store cannot go on; told once. */
  onFatal(error: PackedStoreError): void
  /** Commits are refused now, with the reason; null: they succeed again. */
  onRefusing?(why: string | null): void
  /** A commit took longer than {@link slowCommitMs}. */
  onSlow?(tookMs: number): void
}

/** From here on a commit is worth a line in the log. */
const slowCommitMs = 1000

export class GroupCommitter {
  readonly #writer: StoreWriter
  readonly #observer: CommitObserver
  readonly tally: CommitTally = new CommitTally()
  #broken: PackedStoreError | null = null
  #refusing: string | null = null

  constructor(writer: StoreWriter, observer: CommitObserver) {
    this.#writer = writer
    this.#observer = observer
  }

  /** Why the store is broken; null while it is not. */
  get broken(): PackedStoreError | null {
    return this.#broken
  }

  /** Applies a group. @returns one answer for each request that wants one, at its place; null for the others. */
  run(requests: readonly Request[]): (Reply | null)[] {
    if (this.#broken !== null) return requests.map(request => failure(request, this.#broken!.message, false))
    const distrusted = this.#syncSegments(requests)
    let replies: (Reply | null)[]
    try {
      replies = this.#commit(requests, distrusted)
    } catch (error) {
      this.#note(error)
      const { code, message } = packError(error)
      replies = requests.map(request =>
        code === 'PR_STORE_BUSY' ? failure(request, message, true) : this.#alone(request, distrusted),
      )
    }
    for (const request of requests) if (request.kind === 'sealed') this.#writer.segments.seal(request.segment)
    return replies
  }

  /** A control-plane change in a commit of its own. Throws when it fails or the store is broken. */
  runControl<T>(work: () => T): T {
    if (this.#broken !== null) throw new Error(this.#broken.message)
    try {
      const before = this.#refusing === null ? 0 : this.#writer.changesSoFar()
      const result = this.#writer.transaction(work)
      if (this.#refusing !== null && this.#writer.changesSoFar() !== before) this.#setRefusing(null)
      return result
    } catch (error) {
      this.#note(error)
      throw error
    }
  }

  /** Frees contents after the commit of a control-plane change. */
  release(freed: readonly Buffer[]): void {
    for (const extents of freed) this.#writer.segments.release(unpackExtents(extents))
  }

  #note(error: unknown): void {
    this.tally.addFailure()
    const packed = packError(error)
    if (isPassingCode(packed.code)) this.#setRefusing(packed.message)
    if (!packed.isFatal || this.#broken !== null) return
    this.#broken = packed
    this.#observer.onFatal(packed)
  }

  #setRefusing(why: string | null): void {
    if (why === this.#refusing) return
    this.#refusing = why
    this.#observer.onRefusing?.(why)
  }

  #alone(request: Request, distrusted: ReadonlySet<number>): Reply | null {
    if (this.#broken !== null) return failure(request, this.#broken.message, false)
    try {
      return this.#commit([request], distrusted)[0] ?? null
    } catch (error) {
      this.#note(error)
      const packed = packError(error)
      return failure(request, packed.message, !packed.isFatal && isPassingCode(packed.code))
    }
  }

  #commit(requests: readonly Request[], distrusted: ReadonlySet<number>): (Reply | null)[] {
    const effects: Effects = { added: [], freed: [] }
    const apply = (): (Reply | null)[] => requests.map(request => this.#apply(request, distrusted, effects))
    const startedMs = performance.now()
    const replies = this.#writer.transaction(apply)
    const tookMs = performance.now() - startedMs
    this.tally.add(tookMs, requests.length)
    if (tookMs >= slowCommitMs) this.#observer.onSlow?.(tookMs)
    if (this.#refusing !== null && replies.some(hasWritten)) this.#setRefusing(null)
    for (const extents of effects.added) this.#writer.segments.add(unpackExtents(extents))
    this.release(effects.freed)
    return replies
  }

  #apply(request: Request, distrusted: ReadonlySet<number>, effects: Effects): Reply | null {
    const { id } = request
    switch (request.kind) {
      case 'accept':
        if (isIn(request.message, distrusted))
          return { kind: 'failed', id, why: 'the disk refused the content', isContentBad: true }
        return { kind: 'stored', id, key: this.#insert(request.message, effects) }
      case 'settle': {
        const { batch } = request
        if (batch.messages.some(message => isIn(message, distrusted)))
          return failure(request, 'the disk refused the content', false)
        this.#writer.settler.settle(batch.settlements, effects.freed)
        for (const back of batch.giveBacks) this.#writer.settler.giveBack(back)
        for (const message of batch.messages) this.#insert(message, effects)
        for (const one of batch.events)
          this.#writer.events.append(
            one.type,
            one.atMs,
            one.accountKey,
            one.streamKey,
            one.messageId,
            one.recipientNumber,
            one.facts,
          )
        return { kind: 'settled', id }
      }
      case 'lease':
        return {
          kind: 'leased',
          id,
          messages: this.#writer.lease(request.recipientsMax, request.nowMs, request.shares),
        }
      case 'tlsSeen':
        this.#writer.tlsSeen(request.host, request.atMs)
        return null
      case 'sealed':
        return null
    }
  }

  #insert(message: RawMessage, effects: Effects): number {
    const key = this.#writer.messages.insert(message)
    if (message.extents !== null) effects.added.push(message.extents)
    return key
  }

  #syncSegments(requests: readonly Request[]): ReadonlySet<number> {
    let named: Set<number> | null = null
    const name = (message: RawMessage): void => {
      if (message.extents === null) return
      named ??= new Set()
      for (const extent of unpackExtents(message.extents)) named.add(extent.segment)
    }
    for (const request of requests) {
      if (request.kind === 'accept') name(request.message)
      else if (request.kind === 'settle') request.batch.messages.forEach(name)
    }
    if (named === null) return nothing
    const failed = this.#writer.segments.sync(named)
    if (failed.size > 0)
      this.#setRefusing(`large contents cannot be synced: ${this.#writer.segments.lastError}`)
    return failed
  }
}

const nothing: ReadonlySet<number> = new Set()

/** A commit without a write (nothing was due) says nothing about the disk. */
function hasWritten(reply: Reply | null): boolean {
  if (reply === null) return false
  return (
    reply.kind === 'stored' ||
    reply.kind === 'settled' ||
    (reply.kind === 'leased' && reply.messages.length > 0)
  )
}

function isIn(message: RawMessage, distrusted: ReadonlySet<number>): boolean {
  if (message.extents === null || distrusted.size === 0) return false
  return unpackExtents(message.extents).some(extent => distrusted.has(extent.segment))
}

function failure(request: Request, why: string, isPassing: boolean): Reply | null {
  switch (request.kind) {
    case 'accept':
      return { kind: 'failed', id: request.id, why, isContentBad: false }
    case 'settle':
    case 'lease':
      return { kind: 'broken', id: request.id, why, isPassing }
    default:
      return null
  }
}
