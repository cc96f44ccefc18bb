// Reads contents out of segment files, in bounded chunks and off the event loop.
//
// Descriptors are kept for the segments used last; a kept one stays valid even when the file is deleted meanwhile, and keeps
// its space on the disk: so it is closed seconds after its last use. What could not be opened is forgotten at once: the next
// read tries anew.

import { type FileHandle, open } from 'node:fs/promises'
import { systemTimers, type Timers } from '../../base/index.ts'
import type { Extent } from '../../queue/index.ts'
import { segmentPath } from './paths.ts'

const openFilesMax = 16
/** Closed at the second look after the last use. */
const lookEveryMs = 2000

interface OpenSegment {
  readonly file: Promise<FileHandle>
  /** Reads under way. */
  users: number
  /** Since the last look. */
  wasUsed: boolean
  /** To be closed after the last read. */
  isRetired: boolean
}

export class SegmentReader {
  readonly #dir: string
  readonly #timers: Timers
  readonly #open = new Map<number, OpenSegment>()
  /** null: nothing is open. */
  #stopLooking: (() => void) | null = null

  constructor(dir: string, timers: Timers = systemTimers) {
    this.#dir = dir
    this.#timers = timers
  }

  /** All bytes; null when a segment is gone. */
  async readAll(extents: readonly Extent[]): Promise<Buffer | null> {
    let total = 0
    for (const extent of extents) total += extent.sizeBytes
    const whole = Buffer.allocUnsafe(total)
    let at = 0
    for (const extent of extents) {
      const part = whole.subarray(at, at + extent.sizeBytes)
      if (!(await this.#read(extent.segment, part, extent.offsetBytes))) return null
      at += extent.sizeBytes
    }
    return whole
  }

  /** The bytes as chunks of at most `chunkBytesMax`; throws when a segment is gone. */
  async *chunks(extents: readonly Extent[], chunkBytesMax: number): AsyncGenerator<Buffer, void, undefined> {
    for (const { segment, offsetBytes, sizeBytes } of extents) {
      for (let at = 0; at < sizeBytes; at += chunkBytesMax) {
        const chunk = Buffer.allocUnsafe(Math.min(chunkBytesMax, sizeBytes - at))
        if (!(await this.#read(segment, chunk, offsetBytes + at)))
          throw new Error(`segment ${segment} is gone`)
        yield chunk
      }
    }
  }

  async close(): Promise<void> {
    this.#stopLooking?.()
    this.#stopLooking = null
    const all = [...this.#open.values()]
    this.#open.clear()
    for (const segment of all) await segment.file.then(file => file.close()).catch(() => {})
  }

  /** @returns false when the segment is gone. */
  async #read(number: number, into: Buffer, position: number): Promise<boolean> {
    const segment = this.#use(number)
    try {
      await readFully(await segment.file, into, position)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return false
    } finally {
      segment.users--
      closeWhenDone(segment)
    }
  }

  #use(number: number): OpenSegment {
    let segment = this.#open.get(number)
    if (segment === undefined) segment = this.#begin(number)
    // The map's order is the order of last use.
    else this.#open.delete(number)
    this.#open.set(number, segment)
    segment.users++
    segment.wasUsed = true
    if (this.#open.size > openFilesMax) {
      const [oldestNumber, oldest] = this.#open.entries().next().value!
      this.#retire(oldestNumber, oldest)
    }
    this.#stopLooking ??= this.#timers.after(lookEveryMs, () => this.#closeIdle())
    return segment
  }

  #closeIdle(): void {
    for (const [number, segment] of this.#open)
      if (segment.wasUsed || segment.users > 0) segment.wasUsed = false
      else this.#retire(number, segment)
    this.#stopLooking = this.#open.size > 0 ? this.#timers.after(lookEveryMs, () => this.#closeIdle()) : null
  }

  #retire(number: number, segment: OpenSegment): void {
    this.#open.delete(number)
    segment.isRetired = true
    closeWhenDone(segment)
  }

  #begin(number: number): OpenSegment {
    const file = open(segmentPath(this.#dir, number), 'r')
    const segment = { file, users: 0, wasUsed: true, isRetired: false }
    segment.file.catch(() => {
      if (this.#open.get(number) === segment) this.#open.delete(number)
    })
    return segment
  }
}

function closeWhenDone(segment: OpenSegment): void {
  if (segment.isRetired && segment.users === 0) segment.file.then(file => file.close()).catch(() => {})
}

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await file.read(into, at, into.length - at, position + at)
    if (bytesRead === 0) throw new Error('a segment is shorter than its contents')
    at += bytesRead
  }
}
