// What a relay thread holds of the store: QueueStore over its line to the store thread, contents through a read-only
// connection and the segment files of its own.
//
// Place: intake and delivery call it; requests travel through the thread's StoreConnection. Invariant: an accept answers
// `stored` only after its group's commit is on disk.

import type {
  AcceptResult,
  LeasedMessage,
  LeaseRequest,
  NewMessage,
  QueueStore,
  SettleBatch,
  StoredContent,
} from '../../queue/index.ts'
import { StoreError } from '../errors.ts'
import { inlineSizeBytes } from '../format/index.ts'
import type { SegmentSpool } from '../segments/index.ts'
import type { ContentReader } from '../sqlite/content-reader.ts'
import type { StoreConnection } from './connection.ts'
import type { Reply } from './reply-codec.ts'
import { writeAccept, writeLease, writeSettle } from './request-codec.ts'

/** Envelope and event of a message, roughly, for the bound on bytes under way. */
const envelopeBytes = 2048

export class StoreClient implements QueueStore {
  readonly #connection: StoreConnection
  readonly #contents: ContentReader
  readonly #spool: SegmentSpool

  constructor(connection: StoreConnection, contents: ContentReader, spool: SegmentSpool) {
    this.#spool = spool
    this.#connection = connection
    this.#contents = contents
  }

  /** True while accepts wait for the disk: take no new message. */
  get isSaturated(): boolean {
    return this.#connection.isSaturated
  }

  accept(message: NewMessage): Promise<AcceptResult> {
    return new Promise(resolve => {
      this.#connection.requestInTurn(
        (to, scratch, id) => writeAccept(to, scratch, id, message),
        reply => {
          if (reply.kind === 'failed' && reply.isContentBad) this.#leaveSegments(message)
          this.#answered(message)
          if (reply.kind === 'stored') resolve({ kind: 'stored', key: reply.key })
          else resolve({ kind: 'failed', why: 'why' in reply ? reply.why : reply.kind })
        },
        inlineSizeBytes(message.content) + envelopeBytes,
      )
    })
  }

  settle(batch: SettleBatch): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#connection.request(
        (to, scratch, id) => writeSettle(to, scratch, id, batch),
        reply => {
          for (const message of batch.messages) this.#answered(message)
          if (reply.kind === 'settled') resolve()
          else reject(refusalOf(reply))
        },
      )
    })
  }

  /** Its extents are in the store's book, or never will be: the spool need not keep their segment open. */
  #answered(message: NewMessage): void {
    if (message.content.kind === 'segments') this.#spool.release(message.content.extents)
  }

  /** The disk refused what lies in them: the next contents go elsewhere. */
  #leaveSegments(message: NewMessage): void {
    if (message.content.kind !== 'segments') return
    for (const extent of message.content.extents) this.#spool.leaveSegment(extent.segment)
  }

  lease(request: LeaseRequest): Promise<LeasedMessage[]> {
    return new Promise((resolve, reject) => {
      this.#connection.request(
        (to, _scratch, id) => writeLease(to, id, request),
        reply => {
          if (reply.kind === 'leased') resolve(reply.messages)
          else reject(refusalOf(reply))
        },
      )
    })
  }

  readPrefix(messageKey: number): Buffer | null {
    return this.#contents.readPrefix(messageKey)
  }

  readContent(messageKey: number, content: StoredContent): Promise<Buffer | null> {
    return this.#contents.read(messageKey, content)
  }

  openContent(messageKey: number, content: StoredContent): AsyncIterable<Buffer> {
    return this.#contents.open(messageKey, content)
  }
}

/** The error of a settlement or lease that was not done. */
function refusalOf(reply: Reply): StoreError {
  const why = 'why' in reply ? reply.why : reply.kind
  return new StoreError(reply.kind === 'broken' && reply.isPassing ? 'PR_STORE_FULL' : 'PR_STORE_IO', why)
}
