// End-of-data marks: written just before the final dot, so that a killed process leaves behind which
// recipients are uncertain (ARCHITECTURE, durability). One writeSync for the marks of a turn of the event loop
// and no fsync: they survive the process, not a power cut. `mark` only notes; `write` has returned before a
// final dot of a noted mark leaves.
//
// Each thread appends to files of its own, `<thread>-<generation>.mark`. A new generation begins at 1 MiB; an old one is
// deleted when all its marks are cleared. Clearing costs no write of its own: it travels with the next marks, unless the
// recipient will be leased again, when the mark of an attempt that was answered would make the next one uncertain.
//
// Record: u8 kind (1 mark, 2 clear) · f64 token · 16 bytes message id and u32 count and count × u32 numbers (mark only) ·
// u32 CRC-32 of all before. A torn last record fails its checksum and is ignored.

import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { EndOfDataMarks } from '../../delivery/index.ts'

/** Sizes in a record. */
export const markFormat = { mark: 1, clear: 2, headBytes: 9, idBytes: 16, crcBytes: 4 } as const

const generationBytesMax = 1024 * 1024
/** Clears that wait for the next mark; more are written on their own. */
const clearsMax = 256

interface Generation {
  readonly path: string
  readonly descriptor: number
  /** All marks in it have this token or a later one. */
  readonly firstToken: number
  sizeBytes: number
  open: number
  /** A record in it is cut short: what would come after could not be read. */
  isTorn: boolean
}

export class MarkFiles implements EndOfDataMarks, Disposable {
  readonly #dir: string
  readonly #thread: number
  /** Oldest first; the last one is written to. */
  #generations: Generation[] = []
  #number = 0
  #token = 0
  #clears: number[] = []
  #buffer: Buffer = Buffer.allocUnsafe(8192)
  /** Bytes in the buffer that are not written yet. */
  #noted = 0

  /** @param dir made when missing. @param thread different in each thread. */
  constructor(dir: string, thread: number) {
    this.#dir = dir
    this.#thread = thread
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    this.#begin()
  }

  mark(messageId: Buffer, recipientNumbers: readonly number[]): number {
    const current = this.#current()
    const token = ++this.#token
    if (this.#clears.length > 0) this.#packClears()
    const { headBytes, idBytes, crcBytes } = markFormat
    const start = this.#room(headBytes + idBytes + 4 + recipientNumbers.length * 4 + crcBytes)
    const buffer = this.#buffer
    buffer[start] = markFormat.mark
    let at = buffer.writeDoubleLE(token, start + 1)
    at += messageId.copy(buffer, at, 0, idBytes)
    at = buffer.writeUInt32LE(recipientNumbers.length, at)
    for (const number of recipientNumbers) at = buffer.writeUInt32LE(number, at)
    this.#noted = buffer.writeUInt32LE(crc32(buffer.subarray(start, at)), at)
    current.open++
    return token
  }

  write(): void {
    const sizeBytes = this.#noted
    if (sizeBytes === 0) return
    this.#noted = 0
    const current = this.#generations.at(-1)!
    current.sizeBytes += sizeBytes
    if (current.isTorn) return
    try {
      current.isTorn = writeSync(current.descriptor, this.#buffer, 0, sizeBytes) < sizeBytes
    } catch {
      // A full disk: delivery goes on, only the knowledge about a crash at this very moment is missing.
      current.isTorn = true
    }
  }

  clear(token: number, comesAgain: boolean): void {
    this.#clears.push(token)
    const generations = this.#generations
    let i = generations.length - 1
    while (i > 0 && generations[i]!.firstToken > token) i--
    const generation = generations[i]!
    generation.open--
    if (generation.open === 0 && i < generations.length - 1) {
      this.#drop(generation)
      generations.splice(i, 1)
    }
    if (this.#clears.length < clearsMax && !comesAgain) return
    this.#current()
    this.#packClears()
    this.write()
  }

  /** Ends in order: without open marks nothing is left behind. */
  [Symbol.dispose](): void {
    this.write()
    for (const generation of this.#generations) {
      if (generation.open > 0) closeSync(generation.descriptor)
      else this.#drop(generation)
    }
    this.#generations = []
  }

  #begin(): Generation {
    const path = join(this.#dir, `${this.#thread}-${++this.#number}.mark`)
    const generation: Generation = {
      path,
      descriptor: openSync(path, 'w', 0o600),
      firstToken: this.#token + 1,
      sizeBytes: 0,
      open: 0,
      isTorn: false,
    }
    this.#generations.push(generation)
    return generation
  }

  /** The generation to write to: a new one when the last is full or torn, if the system lets us. */
  #current(): Generation {
    const current = this.#generations.at(-1)!
    if (current.sizeBytes < generationBytesMax && !current.isTorn) return current
    // What is noted belongs to the old one.
    this.write()
    try {
      const next = this.#begin()
      if (current.open === 0) {
        this.#generations.splice(this.#generations.indexOf(current), 1)
        this.#drop(current)
      }
      return next
    } catch {
      // A full disk, or no descriptor left: the old one takes it, or nobody.
      return current
    }
  }

  #packClears(): void {
    let at = this.#room(this.#clears.length * (markFormat.headBytes + markFormat.crcBytes))
    const buffer = this.#buffer
    for (const token of this.#clears) {
      buffer[at] = markFormat.clear
      const end = buffer.writeDoubleLE(token, at + 1)
      at = buffer.writeUInt32LE(crc32(buffer.subarray(at, end)), end)
    }
    this.#clears = []
    this.#noted = at
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

  #drop(generation: Generation): void {
    closeSync(generation.descriptor)
    try {
      rmSync(generation.path, { force: true })
    } catch {
      // A read-only disk: the next start removes it, and all its marks are cleared.
    }
  }
}
