// Reads what marks the last run left behind. For recovery at start, before any thread writes new ones.

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { markFormat } from './mark-files.ts'

/** The end of data of these recipients was sent and their outcome was not committed. */
export interface LeftMark {
  readonly messageId: Buffer
  readonly recipientNumbers: readonly number[]
}

/** The folder of mark files inside a data folder. */
export function markDir(dataDir: string): string {
  return join(dataDir, 'marks')
}

/** All marks that were not cleared; none when the folder is missing. */
export function readMarks(dir: string): LeftMark[] {
  const open = new Map<string, LeftMark>()
  const cleared = new Set<string>()
  for (const name of markFiles(dir)) readFile(join(dir, name), name.split('-')[0]!, open, cleared)
  for (const key of cleared) open.delete(key)
  return [...open.values()]
}

/** Deletes the mark files, once recovery is committed. */
export function removeMarks(dir: string): void {
  for (const name of markFiles(dir)) rmSync(join(dir, name), { force: true })
}

function markFiles(dir: string): string[] {
  try {
    return readdirSync(dir).filter(name => name.endsWith('.mark'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Walks a file until its end or the first record that is not whole. */
function readFile(path: string, thread: string, open: Map<string, LeftMark>, cleared: Set<string>): void {
  const bytes = readFileSync(path)
  const { headBytes, idBytes, crcBytes } = markFormat
  for (let at = 0; at + headBytes + crcBytes <= bytes.length; ) {
    const kind = bytes[at]
    let end = at + headBytes
    if (kind === markFormat.mark) {
      if (end + idBytes + 4 > bytes.length) return
      end += idBytes + 4 + bytes.readUInt32LE(end + idBytes) * 4
    } else if (kind !== markFormat.clear) return
    if (end + crcBytes > bytes.length) return
    if (crc32(bytes.subarray(at, end)) !== bytes.readUInt32LE(end)) return
    const key = `${thread}:${bytes.readDoubleLE(at + 1)}`
    if (kind === markFormat.clear) cleared.add(key)
    else {
      const numbers: number[] = []
      for (let n = at + headBytes + idBytes + 4; n < end; n += 4) numbers.push(bytes.readUInt32LE(n))
      const messageId = Buffer.from(bytes.subarray(at + headBytes, at + headBytes + idBytes))
      open.set(key, { messageId, recipientNumbers: numbers })
    }
    at = end + crcBytes
  }
}
