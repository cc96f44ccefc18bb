// Keeps a content while it arrives: small ones in memory, large ones in segments as soon as they are known to be large.
//
// Step 4 of the plan in submission.ts. A large content is kept in memory as well while it is not too large, so that its
// first attempt need not read it back. Never holds more than that plus what the spool has outstanding.

import type { ContentSpool, NewContent, SpooledContent } from '../queue/index.ts'

/** A content up to this size stays in memory until its first attempt; larger ones are streamed from their segments. */
const keptBytesMax = 256 * 1024

/** Where one content goes. */
export class ContentKeeper {
  readonly #spool: ContentSpool
  readonly #inlineBytesMax: number
  #parts: Buffer[] = []
  #sizeBytes = 0
  #spooled: SpooledContent | null = null

  /** @param inlineBytesMax a content up to this size stays in memory and goes into the store's content table */
  constructor(spool: ContentSpool, inlineBytesMax: number) {
    this.#spool = spool
    this.#inlineBytesMax = inlineBytesMax
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Takes the next bytes; a promise means: wait. It rejects when the disk refuses. */
  push(chunk: Buffer): Promise<void> | undefined {
    this.#sizeBytes += chunk.length
    const isSpooled = this.#spooled !== null
    if (!isSpooled || this.#sizeBytes <= keptBytesMax) this.#parts.push(chunk)
    else this.#parts = []
    if (this.#spooled !== null) return this.#spooled.write(chunk)
    if (this.#sizeBytes <= this.#inlineBytesMax) return undefined
    this.#spooled = this.#spool.begin()
    const head = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    if (this.#sizeBytes > keptBytesMax) this.#parts = []
    return this.#spooled.write(head)
  }

  /** The content as the queue wants it; at once when it is inline. */
  finish(): NewContent | Promise<NewContent> {
    const spooled = this.#spooled
    if (spooled === null) return { kind: 'inline', parts: this.#parts, sizeBytes: this.#sizeBytes }
    return spooled.finish().then(({ extents, sizeBytes }) => ({ kind: 'segments', extents, sizeBytes }))
  }

  /** All its bytes, when they are in memory; null when they are only in segments. */
  get parts(): readonly Buffer[] | null {
    return this.#parts.length > 0 ? this.#parts : null
  }

  abort(): void {
    this.#spooled?.abort()
    this.#spooled = null
    this.#parts = []
  }
}
