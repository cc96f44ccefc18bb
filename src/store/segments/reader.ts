// Reads contents out of segment files, in bounded chunks and off the event loop.
//
// Descriptors are kept for a few segments; they stay valid even if the file is deleted meanwhile.

import { type FileHandle, open } from 'node:fs/promises'
import type { Extent } from '../../queue/index.ts'
import { segmentPath } from './paths.ts'

const openFilesMax = 16

export class SegmentReader {
  readonly #dir: string
  readonly #files = new Map<number, Promise<FileHandle>>()

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
      const file = await this.#file(extent.segment)
      if (file === null) return null
      await readFully(file, whole.subarray(at, at + extent.sizeBytes), extent.offsetBytes)
      at += extent.sizeBytes
    }
    return whole
  }

  /** The bytes as chunks of at most `chunkBytesMax`. */
  async *chunks(extents: readonly Extent[], chunkBytesMax: number): AsyncGenerator<Buffer, void, undefined> {
    for (const extent of extents) {
      for (let at = 0; at < extent.sizeBytes; at += chunkBytesMax) {
        const file = await this.#file(extent.segment)
        if (file === null) throw new Error(`segment ${extent.segment} is gone`)
        const chunk = Buffer.allocUnsafe(Math.min(chunkBytesMax, extent.sizeBytes - at))
        await readFully(file, chunk, extent.offsetBytes + at)
        yield chunk
      }
    }
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()]
    this.#files.clear()
    for (const file of files) await file.then(opened => opened.close()).catch(() => {})
  }

  async #file(segment: number): Promise<FileHandle | null> {
    let file = this.#files.get(segment)
    if (file === undefined) {
      file = open(segmentPath(this.#dir, segment), 'r')
      this.#files.set(segment, file)
      this.#closeOldest()
    }
    try {
      return await file
    } catch (error) {
      this.#files.delete(segment)
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  #closeOldest(): void {
    if (this.#files.size <= openFilesMax) return
    const [segment, file] = this.#files.entries().next().value!
    this.#files.delete(segment)
    // A read that is under way on it finishes first: FileHandle.close waits for pending operations.
    file.then(opened => opened.close()).catch(() => {})
  }
}

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await file.read(into, at, into.length - at, position + at)
    if (bytesRead === 0) throw new Error('a segment is shorter than its contents')
    at += bytesRead
  }
}
