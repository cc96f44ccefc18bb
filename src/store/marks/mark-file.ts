// End-of-data marks: written just before the final dot, so that a killed process leaves behind which
// recipients are uncertain (ARCHITECTURE, durability). One writeSync for the marks of a turn of the event loop
// and no fsync: they survive the process, not a power cut. `mark` only notes; `write` has returned before a
// final dot of a noted mark leaves.
//
// Each thread appends to one file, `<thread>.mark`. Clearing costs no write of its own: it travels with the next marks,
// unless the recipient will be leased again, when the mark of an attempt that was answered would make the next one
// uncertain. After 1 MiB the file is replaced, by a rename, with one that holds the open marks alone: no mark outlives its
// clear, and there is never a second file. The same mends it after a write that failed, at most once a second.
//
// Records: u8 1 (mark) · f64 token · 16 bytes message id · u32 count · count × u32 numbers · u32 CRC-32 of all before;
// u8 3 (clears) · u32 count · count × f64 token · u32 CRC-32. A torn last record fails its checksum and is ignored.

import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { EndOfDataMarks } from '../../delivery/index.ts'

/** Sizes in a record. */
export const markFormat = {
  mark: 1,
  /** Of a version before: u8 2 · f64 token · u32 CRC-32. */
  clear: 2,
  clears: 3,
  tokenBytes: 8,
  idBytes: 16,
  countBytes: 4,
  crcBytes: 4,
} as const

const grownBytesMax = 1024 * 1024
/** Clears that wait for the next mark; more are written on their own. */
const clearsMax = 256
const renewAgainMs = 1000

/** How bytes are written; tests hand in one that fails. Like writeSync it may write less. */
export type WriteBytes = (descriptor: number, bytes: Buffer, offset: number, sizeBytes: number) => number

interface OpenMark {
  readonly messageId: Buffer
  readonly recipientNumbers: readonly number[]
}

export class MarkFile implements EndOfDataMarks, Disposable {
  readonly #path: string
  readonly #nowMs: () => number
  readonly #writeBytes: WriteBytes
  /** By token. */
  readonly #open = new Map<number, OpenMark>()
  #descriptor: number
  #sizeBytes = 0
  #sizeBytesMax: number = grownBytesMax
  /** A write failed: records are missing or cut short, and what would come after could not be read. */
  #isBehind = false
  #isClosed = false
  #failedMs = Number.NEGATIVE_INFINITY
  #token = 0
  #clears: number[] = []
  #buffer: Buffer = Buffer.allocUnsafe(8192)
  /** Bytes in the buffer that are not written yet. */
  #noted = 0

  /** @param dir made when missing. @param thread different in each thread. */
  constructor(dir: string, thread: number, nowMs: () => number, writeBytes: WriteBytes = writeSync) {
    this.#path = join(dir, `${thread}.mark`)
    this.#nowMs = nowMs
    this.#writeBytes = writeBytes
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    this.#descriptor = openSync(this.#path, 'w', 0o600)
  }

  mark(messageId: Buffer, recipientNumbers: readonly number[]): number {
    const token = ++this.#token
    this.#pack(token, messageId, recipientNumbers)
    this.#open.set(token, { messageId, recipientNumbers })
    return token
  }

  write(): void {
    if (this.#isClosed) return
    if (this.#noted > 0) {
      if (this.#clears.length > 0) this.#packClears()
      this.#sizeBytes += this.#noted
      if (!this.#isBehind) this.#isBehind = !this.#put(this.#descriptor)
      this.#noted = 0
    } else if (!this.#isBehind) return
    if (this.#isBehind || this.#sizeBytes >= this.#sizeBytesMax) this.#renew()
  }

  clear(token: number, comesAgain: boolean): void {
    this.#open.delete(token)
    this.#clears.push(token)
    if (this.#clears.length < clearsMax && !comesAgain) return
    this.#packClears()
    this.write()
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.write()
    this.#isClosed = true
    closeSync(this.#descriptor)
    if (this.#open.size === 0) quietly(() => rmSync(this.#path, { force: true }))
  }

  /** Puts a file with the open marks alone in the place of this one, if the system lets us; else this one takes more. */
  #renew(): void {
    const nowMs = this.#nowMs()
    if (Math.abs(nowMs - this.#failedMs) < renewAgainMs) return
    for (const [token, { messageId, recipientNumbers }] of this.#open)
      this.#pack(token, messageId, recipientNumbers)
    const descriptor = this.#replace()
    const sizeBytes = this.#noted
    this.#noted = 0
    if (descriptor === null) {
      // A full disk, or no descriptor left: delivery goes on, only the knowledge about a crash at this very moment may be
      // missing.
      this.#failedMs = nowMs
      return
    }
    quietly(() => closeSync(this.#descriptor))
    this.#descriptor = descriptor
    this.#sizeBytes = sizeBytes
    this.#sizeBytesMax = sizeBytes + grownBytesMax
    this.#isBehind = false
    this.#clears = []
  }

  /** @returns the file that has what is noted, and the name; null when there is none and the old one stays. */
  #replace(): number | null {
    const path = `${this.#path}.new`
    let made: number | null = null
    try {
      const descriptor = openSync(path, 'w', 0o600)
      made = descriptor
      if (this.#put(descriptor)) {
        renameSync(path, this.#path)
        return descriptor
      }
    } catch {}
    quietly(() => {
      if (made !== null) closeSync(made)
      rmSync(path, { force: true })
    })
    return null
  }

  /** Writes what is noted. @returns whether all of it is in the file. */
  #put(descriptor: number): boolean {
    try {
      return this.#writeBytes(descriptor, this.#buffer, 0, this.#noted) === this.#noted
    } catch {
      return false
    }
  }

  #pack(token: number, messageId: Buffer, recipientNumbers: readonly number[]): void {
    const { tokenBytes, idBytes, countBytes, crcBytes } = markFormat
    const numbersBytes = recipientNumbers.length * 4
    const start = this.#room(1 + tokenBytes + idBytes + countBytes + numbersBytes + crcBytes)
    const buffer = this.#buffer
    buffer[start] = markFormat.mark
    let at = buffer.writeDoubleLE(token, start + 1)
    at += messageId.copy(buffer, at, 0, idBytes)
    at = buffer.writeUInt32LE(recipientNumbers.length, at)
    for (const number of recipientNumbers) at = buffer.writeUInt32LE(number, at)
    this.#noted = buffer.writeUInt32LE(crc32(buffer.subarray(start, at)), at)
  }

  #packClears(): void {
    const { clears, tokenBytes, countBytes, crcBytes } = markFormat
    const tokens = this.#clears
    const start = this.#room(1 + countBytes + tokens.length * tokenBytes + crcBytes)
    const buffer = this.#buffer
    buffer[start] = clears
    let at = buffer.writeUInt32LE(tokens.length, start + 1)
    for (const token of tokens) at = buffer.writeDoubleLE(token, at)
    this.#noted = buffer.writeUInt32LE(crc32(buffer.subarray(start, at)), at)
    this.#clears = []
  }

  /** Makes room behind what is noted. @returns where it begins. */
  #room(sizeBytes: number): number {
    const noted = this.#noted
    if (noted + sizeBytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafe((noted + sizeBytes) * 2)
      this.#buffer.copy(grown, 0, 0, noted)
      this.#buffer = grown
    }
    return noted
  }
}

/** What fails here does no harm: the next start removes the file. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {}
}
