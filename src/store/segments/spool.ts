// Takes large contents while they arrive and appends them to this thread's own segment files, off the event loop.
//
// 1. A content gathers its chunks to 256 KiB (or to its end), so that it becomes few extents.
// 2. One writev at a time takes everything that waits, of all contents: the load makes the writes larger, not more.
// 3. At its full size (64 MiB) the next segment is begun. The old one is sealed once nobody can still name it in
//    an accept: every content with bytes in it was answered for (`release`) or aborted, and no write into it
//    runs. Its descriptor stays open until then: the kernel may forget a failed write-back of a file that nobody
//    has open, before the store syncs it.
// Nothing here syncs: the store thread does, once a group, before the COMMIT that names the extents.
//
// Memory is bounded: a content has at most about 1 MiB under way, all together about 16 MiB; beyond, `write` returns a
// promise. A failed write fails the contents in it and ends the segment.

import { mkdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { appendPart, type PartSlab } from '../../base/index.ts'
import type { ContentSpool, Extent, SpooledContent } from '../../queue/index.ts'
import { segmentPath } from './paths.ts'

/**
 * Contents up to this size go inline into the database, larger ones into segments. Measured in one run each, store thread
 * a message: 16 KiB 42 µs inline and 35 µs in segments at about the same rate, 32 KiB 89 and 48, 100 KB 197 and 74.
 * Below, a second fdatasync a group and two file operations more a content are not worth it.
 */
export const inlineMaxBytes: number = 16 * 1024

/** Where the configuration says nothing else. */
const segmentBytesDefault = 64 * 1024 * 1024
const gatherBytes = 256 * 1024
const contentBytesMax = 1024 * 1024
const spoolBytesMax = 16 * 1024 * 1024
const writeBytesMax = 4 * 1024 * 1024
const writePartsMax = 512
/** Threads share the number space: each takes the numbers that are its own modulo this. */
const threadsMax = 64

export interface SpoolOptions {
  /** The folder of segments; made when missing. */
  readonly dir: string
  /** 0 to 63, different in each thread. */
  readonly thread: number
  readonly nowMs: () => number
  /** Size at which the next segment is begun; 64 MiB by default. */
  readonly segmentBytesMax?: number
  /** Told when a segment gets no more bytes and can no longer be named. */
  readonly onSealed: (segment: number) => void
}

interface Segment {
  readonly number: number
  readonly file: FileHandle
  sizeBytes: number
  /** Contents with bytes in it that were neither answered for nor aborted, and the write that runs. */
  users: number
  isRetired: boolean
}

interface Job {
  readonly content: Spooled
  readonly parts: Buffer[]
  readonly sizeBytes: number
}

export class SegmentSpool implements ContentSpool {
  readonly #options: SpoolOptions
  readonly #segmentBytesMax: number
  readonly #jobs: Job[] = []
  /** Contents that are finished and not yet answered for, by their first extent. */
  readonly #finished = new Map<string, Spooled>()
  /** Every segment whose descriptor is open. Node ends the process over a FileHandle that is collected while it is open. */
  readonly #open = new Set<Segment>()
  #segment: Segment | null = null
  #pumping: Promise<void> | null = null
  #unwrittenBytes = 0
  #lastNumber = 0

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#segmentBytesMax = options.segmentBytesMax ?? segmentBytesDefault
    mkdirSync(options.dir, { recursive: true, mode: 0o700 })
  }

  begin(): SpooledContent {
    return new Spooled(this)
  }

  /** The accept that names these extents has been answered (stored or failed). */
  release(extents: readonly Extent[]): void {
    if (extents.length === 0) return
    const key = keyOf(extents[0]!)
    const content = this.#finished.get(key)
    if (content === undefined) return
    this.#finished.delete(key)
    this.leave(content)
  }

  /** This segment could not be synced: the next contents begin another one. */
  leaveSegment(number: number): void {
    const segment = this.#segment
    if (segment === null || segment.number !== number) return
    this.#segment = null
    this.#retire(segment)
  }

  /**
   * Writes what waits, seals the current segment, and closes the descriptors of those that contents without an answer are
   * in: these are not sealed, and the next start looks what of them is named.
   */
  async close(): Promise<void> {
    while (this.#pumping !== null) await this.#pumping
    if (this.#segment !== null) this.#retire(this.#segment)
    this.#segment = null
    await Promise.all([...this.#open].map(segment => this.#closeFile(segment)))
  }

  /** True while more bytes wait than memory should hold. */
  get isCrowded(): boolean {
    return this.#unwrittenBytes > spoolBytesMax
  }

  /** For Spooled: these bytes wait in memory. */
  count(sizeBytes: number): void {
    this.#unwrittenBytes += sizeBytes
  }

  /** For Spooled: appends parts as one stretch. */
  enqueue(content: Spooled, parts: Buffer[], sizeBytes: number): void {
    this.#jobs.push({ content, parts, sizeBytes })
    this.#pumping ??= this.#pump()
  }

  /** For Spooled: all its bytes are written; from now on an accept may name them. */
  finished(content: Spooled): void {
    if (content.extents.length > 0) this.#finished.set(keyOf(content.extents[0]!), content)
  }

  /** For Spooled: nobody will name its extents any more. */
  leave(content: Spooled): void {
    for (const segment of content.segments as Set<Segment>) this.#leaveOne(segment)
    content.segments.clear()
    if (content.extents.length > 0) this.#finished.delete(keyOf(content.extents[0]!))
  }

  async #pump(): Promise<void> {
    // Gathers what the rest of this turn brings; also lets `enqueue` note the pump before it can end.
    await Promise.resolve()
    while (this.#jobs.length > 0) {
      const { jobs, parts, sizeBytes } = this.#takeBatch()
      try {
        await this.#write(jobs, parts, sizeBytes)
      } catch (error) {
        if (this.#segment !== null) this.#retire(this.#segment)
        this.#segment = null
        for (const job of jobs) job.content.fail(error as Error)
      }
      this.#unwrittenBytes -= sizeBytes
      for (const job of jobs) job.content.written(job.sizeBytes)
    }
    // In the same breath as the last look at the jobs, else one that comes now would wait for ever.
    this.#pumping = null
  }

  async #write(jobs: readonly Job[], parts: readonly Buffer[], sizeBytes: number): Promise<void> {
    const segment = await this.#writable()
    const offsetBytes = segment.sizeBytes
    segment.sizeBytes += sizeBytes
    // Counted before the first byte: the segment may be given up meanwhile, and must not be sealed under the write.
    segment.users++
    try {
      await writeFully(segment.file, parts, offsetBytes)
      this.#placed(jobs, segment, offsetBytes)
    } finally {
      this.#leaveOne(segment)
    }
  }

  #takeBatch(): { jobs: Job[]; parts: Buffer[]; sizeBytes: number } {
    const jobs: Job[] = []
    const parts: Buffer[] = []
    let sizeBytes = 0
    for (const job of this.#jobs) {
      const isFull =
        sizeBytes + job.sizeBytes > writeBytesMax || parts.length + job.parts.length > writePartsMax
      if (jobs.length > 0 && isFull) break
      jobs.push(job)
      for (const part of job.parts) parts.push(part)
      sizeBytes += job.sizeBytes
    }
    this.#jobs.splice(0, jobs.length)
    return { jobs, parts, sizeBytes }
  }

  #placed(jobs: readonly Job[], segment: Segment, offsetBytes: number): void {
    let at = offsetBytes
    for (const { content, sizeBytes } of jobs) {
      if (!content.segments.has(segment)) {
        content.segments.add(segment)
        segment.users++
      }
      content.place({ segment: segment.number, offsetBytes: at, sizeBytes })
      at += sizeBytes
      if (content.isAborted) this.leave(content)
    }
  }

  async #writable(): Promise<Segment> {
    if (this.#segment !== null && this.#segment.sizeBytes >= this.#segmentBytesMax) {
      this.#retire(this.#segment)
      this.#segment = null
    }
    this.#segment ??= await this.#create()
    return this.#segment
  }

  async #create(): Promise<Segment> {
    const { dir, thread, nowMs } = this.#options
    const byClock = nowMs() * threadsMax + (thread % threadsMax)
    // When the clock was set back the number may be that of a deleted segment, which readers may still have open.
    for (let number = Math.max(byClock, this.#lastNumber + threadsMax); ; number += threadsMax) {
      this.#lastNumber = number
      try {
        const file = await open(segmentPath(dir, number), 'wx', 0o600)
        const segment: Segment = { number, file, sizeBytes: 0, users: 0, isRetired: false }
        this.#open.add(segment)
        return segment
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
  }

  #retire(segment: Segment): void {
    segment.isRetired = true
    this.#sealWhenDone(segment)
  }

  #leaveOne(segment: Segment): void {
    segment.users--
    this.#sealWhenDone(segment)
  }

  #sealWhenDone(segment: Segment): void {
    if (!segment.isRetired || segment.users > 0) return
    void this.#closeFile(segment)
    this.#options.onSealed(segment.number)
  }

  async #closeFile(segment: Segment): Promise<void> {
    if (!this.#open.delete(segment)) return
    // A failure to close says nothing that the store's sync does not say.
    await segment.file.close().catch(() => {})
  }
}

function keyOf(extent: Extent): string {
  return `${extent.segment}:${extent.offsetBytes}`
}

async function writeFully(file: FileHandle, parts: readonly Buffer[], position: number): Promise<void> {
  let rest: readonly Buffer[] = parts
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at)
    at += bytesWritten
    rest = skip(rest, bytesWritten)
  }
}

function skip(parts: readonly Buffer[], sizeBytes: number): readonly Buffer[] {
  let left = sizeBytes
  let i = 0
  while (i < parts.length && left >= parts[i]!.length) left -= parts[i++]!.length
  return left === 0 ? parts.slice(i) : [parts[i]!.subarray(left), ...parts.slice(i + 1)]
}

/** One content on its way into segments. */
class Spooled implements SpooledContent {
  readonly extents: Extent[] = []
  /** Segments it has bytes in; the spool's own record. */
  readonly segments: Set<object> = new Set()
  isAborted = false
  readonly #spool: SegmentSpool
  #parts: Buffer[] = []
  #slab: PartSlab | null = null
  #gatheredBytes = 0
  #sizeBytes = 0
  #unwrittenBytes = 0
  #error: Error | null = null
  #waiter: { resolve: () => void; reject: (error: Error) => void; belowBytes: number } | null = null

  constructor(spool: SegmentSpool) {
    this.#spool = spool
  }

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#error !== null) return Promise.reject(this.#error)
    if (chunk.length === 0) return undefined
    this.#slab = appendPart(this.#parts, chunk, this.#slab)
    this.#gatheredBytes += chunk.length
    this.#sizeBytes += chunk.length
    this.#unwrittenBytes += chunk.length
    this.#spool.count(chunk.length)
    const isCrowded = this.#spool.isCrowded
    if (this.#gatheredBytes >= gatherBytes || isCrowded) this.#hand()
    if (this.#unwrittenBytes > contentBytesMax) return this.#wait(contentBytesMax / 2)
    return isCrowded ? this.#wait(0) : undefined
  }

  async finish(): Promise<{ readonly extents: readonly Extent[]; readonly sizeBytes: number }> {
    this.#hand()
    await this.#wait(0)
    this.#spool.finished(this)
    return { extents: this.extents, sizeBytes: this.#sizeBytes }
  }

  /** Also after `finish`, when the message is refused after all. */
  abort(): void {
    if (this.isAborted) return
    this.isAborted = true
    this.#spool.count(-this.#gatheredBytes)
    this.#unwrittenBytes -= this.#gatheredBytes
    this.#parts = []
    this.#gatheredBytes = 0
    this.#spool.leave(this)
  }

  place(extent: Extent): void {
    const last = this.extents.at(-1)
    if (
      last !== undefined &&
      last.segment === extent.segment &&
      last.offsetBytes + last.sizeBytes === extent.offsetBytes
    )
      this.extents[this.extents.length - 1] = { ...last, sizeBytes: last.sizeBytes + extent.sizeBytes }
    else this.extents.push(extent)
  }

  fail(error: Error): void {
    this.#error ??= error
  }

  written(sizeBytes: number): void {
    this.#unwrittenBytes -= sizeBytes
    const waiter = this.#waiter
    if (waiter === null || (this.#error === null && this.#unwrittenBytes > waiter.belowBytes)) return
    this.#waiter = null
    if (this.#error === null) waiter.resolve()
    else waiter.reject(this.#error)
  }

  #hand(): void {
    if (this.#gatheredBytes === 0) return
    this.#spool.enqueue(this, this.#parts, this.#gatheredBytes)
    this.#parts = []
    this.#gatheredBytes = 0
  }

  #wait(belowBytes: number): Promise<void> {
    if (this.#error !== null) return Promise.reject(this.#error)
    if (this.#unwrittenBytes <= belowBytes) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject, belowBytes }
    })
  }
}
