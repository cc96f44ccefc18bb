// Packed bytes: how batches cross threads and how facts are stored without JSON.
//
// PackWriter grows one ArrayBuffer that can be transferred whole; PackReader walks it. Numbers are little-endian;
// strings and byte fields carry a 32-bit length. Reader and writer must agree on the order: both live in one codec file.

/** Writes fields one after another into one growing buffer. */
export class PackWriter {
  #buffer: Buffer
  #at = 0

  /**
   * @param capacityBytes first size; it doubles when needed.
   * @param isTransferable false takes memory from Node's pool, which is much cheaper for small values that stay in
   * their thread; the bytes of {@link finish} may then be kept, and the buffer must not be transferred.
   */
  constructor(capacityBytes: number = 4096, isTransferable: boolean = true) {
    this.#buffer = isTransferable
      ? Buffer.from(new ArrayBuffer(capacityBytes))
      : Buffer.allocUnsafe(capacityBytes)
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#at
  }

  #room(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#buffer.length) {
      const grown = Buffer.from(new ArrayBuffer(Math.max(this.#buffer.length * 2, at + bytes)))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    this.#at = at + bytes
    return at
  }

  u8(value: number): void {
    const at = this.#room(1)
    this.#buffer[at] = value
  }

  u32(value: number): void {
    const at = this.#room(4)
    this.#buffer.writeUInt32LE(value, at)
  }

  /** Any number that a double holds: times, sizes, keys. */
  number(value: number): void {
    const at = this.#room(8)
    this.#buffer.writeDoubleLE(value, at)
  }

  /** Exactly these bytes, without a length. */
  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length)
    this.#buffer.set(bytes, at)
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.raw(bytes)
  }

  /** One byte field made of several parts. */
  parts(parts: readonly Uint8Array[]): void {
    let total = 0
    for (const part of parts) total += part.length
    this.u32(total)
    for (const part of parts) this.raw(part)
  }

  string(text: string): void {
    const most = text.length * 3
    const at = this.#room(4 + most)
    const written = this.#buffer.write(text, at + 4, most, 'utf8')
    this.#buffer.writeUInt32LE(written, at)
    this.#at = at + 4 + written
  }

  /** The bytes so far, a view that the next write may outdate. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  /** The bytes, for keeping: the writer must not be used any more. */
  finish(): Buffer {
    return this.view()
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.#at = 0
  }
}

/** Reads fields in the order in which they were written. */
export class PackReader {
  readonly #buffer: Buffer
  #at: number
  readonly #end: number

  constructor(buffer: Buffer, start: number = 0, end: number = buffer.length) {
    this.#buffer = buffer
    this.#at = start
    this.#end = end
  }

  /** True while fields are left. */
  get hasMore(): boolean {
    return this.#at < this.#end
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#at++)
  }

  u32(): number {
    const value = this.#buffer.readUInt32LE(this.#at)
    this.#at += 4
    return value
  }

  number(): number {
    const value = this.#buffer.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  /** A view of the next bytes, no copy. */
  raw(sizeBytes: number): Buffer {
    const start = this.#at
    this.#at = start + sizeBytes
    return this.#buffer.subarray(start, this.#at)
  }

  /** A view of the next byte field, no copy. */
  bytes(): Buffer {
    return this.raw(this.u32())
  }

  string(): string {
    const size = this.u32()
    const start = this.#at
    this.#at = start + size
    return this.#buffer.toString('utf8', start, this.#at)
  }
}
