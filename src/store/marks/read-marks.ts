// Reads what marks the last run left behind. For recovery at start, before any thread writes new ones.

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { markFormat } from './mark-file.ts'

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
  // `0-7.mark` is the seventh file of thread 0: a version before had several.
  for (const name of filesOf(dir, '.mark'))
    readFile(join(dir, name), Number.parseInt(name, 10), open, cleared)
  for (const key of cleared) open.delete(key)
  return [...open.values()]
}

/** Deletes the mark files, once recovery is committed. */
export function removeMarks(dir: string): void {
  for (const name of [...filesOf(dir, '.mark'), ...filesOf(dir, '.mark.new')])
    rmSync(join(dir, name), { force: true })
}

function filesOf(dir: string, ending: string): string[] {
  try {
    return readdirSync(dir).filter(name => name.endsWith(ending))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Walks a file until its end or the first record that is not whole. */
function readFile(path: string, thread: number, open: Map<string, LeftMark>, cleared: Set<string>): void {
  const bytes = readFileSync(path)
  const { mark, tokenBytes, idBytes, countBytes, crcBytes } = markFormat
  const keyAt = (at: number): string => `${thread}:${bytes.readDoubleLE(at)}`
  for (let at = 0; at < bytes.length; ) {
    const end = endOfRecord(bytes, at)
    if (end + crcBytes > bytes.length) return
    if (crc32(bytes.subarray(at, end)) !== bytes.readUInt32LE(end)) return
    if (bytes[at] === mark) {
      const idStart = at + 1 + tokenBytes
      const numbers: number[] = []
      for (let n = idStart + idBytes + countBytes; n < end; n += 4) numbers.push(bytes.readUInt32LE(n))
      const messageId = Buffer.from(bytes.subarray(idStart, idStart + idBytes))
      open.set(keyAt(at + 1), { messageId, recipientNumbers: numbers })
    } else if (bytes[at] === markFormat.clear) cleared.add(keyAt(at + 1))
    else for (let n = at + 1 + countBytes; n < end; n += tokenBytes) cleared.add(keyAt(n))
    at = end + crcBytes
  }
}

/** @returns where the checksum of the record stands; infinite when there is none. */
function endOfRecord(bytes: Buffer, at: number): number {
  const { mark, clear, clears, tokenBytes, idBytes, countBytes } = markFormat
  const kind = bytes[at]
  if (kind === clear) return at + 1 + tokenBytes
  const countAt = kind === mark ? at + 1 + tokenBytes + idBytes : at + 1
  if ((kind !== mark && kind !== clears) || countAt + countBytes > bytes.length)
    return Number.POSITIVE_INFINITY
  return countAt + countBytes + bytes.readUInt32LE(countAt) * (kind === mark ? 4 : tokenBytes)
}
