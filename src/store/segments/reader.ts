// Reads contents out of segment files, in bounded chunks and off the event loop.
//
// Descriptors are kept for the segments used last; a kept one stays valid even when the file is deleted meanwhile. What
// could not be opened is forgotten at once: the next read tries anew.

import { type FileHandle, open } from 'node:fs/promises'
import type { Extent } from '../../queue/index.ts'
import { segmentPath } from './paths.ts'

const openFilesMax = 16

interface OpenSegment {
  readonly file: Promise<FileHandle>
  /** Reads under way. */
  users: number
  /** To be closed after the last read. */
  isRetired: boolean
}

export class SegmentReader {
  readonly #dir: string
  readonly #open = new Map<number, OpenSegment>()

  constructor(dir: string) {
    this.#dir = dir
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
    if (this.#open.size > openFilesMax) {
      const [oldestNumber, oldest] = this.#open.entries().next().value!
      this.#open.delete(oldestNumber)
      oldest.isRetired = true
      closeWhenDone(oldest)
    }
    return segment
  }

  #begin(number: number): OpenSegment {
    const segment = { file: open(segmentPath(this.#dir, number), 'r'), users: 0, isRetired: false }
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
