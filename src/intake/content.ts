// Keeps a content while it arrives: small ones in memory, large ones in segments as soon as they are known to be large.
//
// Step 4 of the plan in submission.ts. A large content is kept in memory as well while it is not too large, so that its
// first attempt need not read it back, and while there are not too many of these copies in the thread. Never holds more
// than that plus what the spool has outstanding.

import { appendPart, type PartSlab } from '../base/index.ts'
import type { ContentSpool, NewContent, SpooledContent } from '../queue/index.ts'

/** A content up to this size stays in memory until its first attempt; larger ones are streamed from their segments. */
const keptBytesMax = 256 * 1024
/** The same for all contents of a thread that are being submitted: those that come slowly, too, are held for long. */
const copiesBytesMax = 32 * 1024 * 1024

/** Counts what contents that are in segments have in memory as well; one per thread. */
export class Copies {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number = copiesBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** False: there is no room for so much more now. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  release(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** Where one content goes. */
export class ContentKeeper {
  readonly #spool: ContentSpool
  readonly #inlineBytesMax: number
  readonly #copies: Copies
  #parts: Buffer[] = []
  #slab: PartSlab | null = null
  #sizeBytes = 0
  #spooled: SpooledContent | null = null
  /** What of the parts is counted in the copies; null once there is no copy, and for good. */
  #copiedBytes: number | null = 0
  #isAborted = false

  /** @param inlineBytesMax a content up to this size stays in memory and goes into the store's content table */
  constructor(spool: ContentSpool, inlineBytesMax: number, copies: Copies) {
    this.#spool = spool
    this.#inlineBytesMax = inlineBytesMax
    this.#copies = copies
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Takes the next bytes; a promise means: wait. It rejects when the disk refuses. After `abort` nothing is done. */
  push(chunk: Buffer): Promise<void> | undefined {
    if (this.#isAborted) return undefined
    this.#sizeBytes += chunk.length
    if (this.#spooled !== null) {
      if (this.#mayCopy(chunk.length)) this.#slab = appendPart(this.#parts, chunk, this.#slab)
      return this.#spooled.write(chunk)
    }
    this.#slab = appendPart(this.#parts, chunk, this.#slab)
    if (this.#sizeBytes <= this.#inlineBytesMax) return undefined
    this.#spooled = this.#spool.begin()
    const head = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    this.#parts = [head]
    this.#mayCopy(head.length)
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

  /** The content is stored, and whoever wants its parts has them. */
  letGo(): void {
    if (this.#spooled !== null) this.#dropCopy()
  }

  abort(): void {
    this.#isAborted = true
    this.#spooled?.abort()
    this.#spooled = null
    this.#dropCopy()
  }

  /** Counts bytes of the copy; gives it up when it becomes too large or the thread has too many. */
  #mayCopy(bytes: number): boolean {
    if (this.#copiedBytes === null) return false
    if (this.#sizeBytes <= keptBytesMax && this.#copies.take(bytes)) {
      this.#copiedBytes += bytes
      return true
    }
    this.#dropCopy()
    return false
  }

  #dropCopy(): void {
    if (this.#copiedBytes !== null) this.#copies.release(this.#copiedBytes)
    this.#copiedBytes = null
    this.#parts = []
    this.#slab = null
  }
}
