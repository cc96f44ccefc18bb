// Reads contents again: inline ones by one statement on a read-only connection, large ones from their segment
// files; and what is sent before them.

import type { StoredContent } from '../../queue/index.ts'
import { asBuffer } from '../format/index.ts'
import type { SegmentReader } from '../segments/index.ts'
import type { Database, Statement } from './database.ts'

const chunkBytesMax = 256 * 1024

export class ContentReader {
  readonly #select: Statement
  readonly #prefix: Statement
  readonly #segments: SegmentReader

  constructor(db: Database, segments: SegmentReader) {
    this.#select = db.prepare('SELECT bytes FROM content WHERE message_key = ?')
    this.#prefix = db.prepare('SELECT prefix FROM message WHERE key = ?')
    this.#segments = segments
  }

  /** Null when the message is gone. */
  readPrefix(messageKey: number): Buffer | null {
    const row = this.#prefix.get(messageKey) as unknown as [Uint8Array | null] | undefined
    return row === undefined ? null : asBuffer(row[0])
  }

  /** The whole content; null when it is gone. */
  async read(messageKey: number, content: StoredContent): Promise<Buffer | null> {
    if (content.kind === 'segments') return this.#segments.readAll(content.extents)
    return this.#inline(messageKey)
  }

  /** The content as chunks of at most 256 KiB; throws while iterating when it is gone. */
  async *open(messageKey: number, content: StoredContent): AsyncGenerator<Buffer, void, undefined> {
    if (content.kind === 'segments') {
      yield* this.#segments.chunks(content.extents, chunkBytesMax)
      return
    }
    const bytes = this.#inline(messageKey)
    if (bytes === null) throw new Error(`the content of message ${messageKey} is gone`)
    for (let at = 0; at < bytes.length; at += chunkBytesMax) yield bytes.subarray(at, at + chunkBytesMax)
  }

  #inline(messageKey: number): Buffer | null {
    const row = this.#select.get(messageKey) as unknown as [Uint8Array | null] | undefined
    return row === undefined ? null : asBuffer(row[0])
  }
}
