// Packed bytes: how batches cross threads and how facts are stored without JSON.
//
// PackWriter grows one ArrayBuffer that can be transferred whole; PackReader walks it. Numbers are little-endian;
// strings and byte fields carry a 32-bit length. Reader and writer must agree on the order: both live in one codec file.

/** Texts up to this many characters are looked at one by one. */
const shortTextMax = 40
const slackBytesMax = 64 * 1024

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
    // Both are not zeroed: every byte that leaves was written. The slow kind has an ArrayBuffer of its own.
    this.#buffer = isTransferable ? Buffer.allocUnsafeSlow(capacityBytes) : Buffer.allocUnsafe(capacityBytes)
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#at
  }

  #room(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, at + bytes))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    this.#at = at + bytes
    return at
  }

  /**
   * Before much is written: when so many bytes have no room, it is made for them in one step, with a part more for what
   * comes behind them. Doubling up to them would throw away as much as they are.
   */
  reserve(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(needed + Math.min(slackBytesMax, bytes >>> 3))
    this.#buffer.copy(grown, 0, 0, this.#at)
    this.#buffer = grown
  }

  u8(value: number): void {
    const at = this.#room(1)
    this.#buffer[at] = value
  }

  u32(value: number): void {
    const at = this.#room(4)
    this.#put32(at, value)
  }

  #put32(at: number, value: number): void {
    const buffer = this.#buffer
    buffer[at] = value
    buffer[at + 1] = value >>> 8
    buffer[at + 2] = value >>> 16
    buffer[at + 3] = value >>> 24
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
    const characters = text.length
    if (characters <= shortTextMax) {
      // Names, codes and addresses: a loop costs less than the call that a long text is worth.
      const at = this.#room(4 + characters)
      const buffer = this.#buffer
      let i = 0
      for (; i < characters; i++) {
        const code = text.charCodeAt(i)
        if (code > 0x7f) break
        buffer[at + 4 + i] = code
      }
      if (i === characters) {
        this.#put32(at, characters)
        return
      }
      this.#at = at
    }
    const most = characters * 3
    const at = this.#room(4 + most)
    const written = this.#buffer.write(text, at + 4, most, 'utf8')
    this.#put32(at, written)
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

  /** Forgets what was written after the first so many bytes. */
  cutBack(sizeBytes: number): void {
    this.#at = sizeBytes
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
    const at = this.#at
    const buffer = this.#buffer
    if (at + 4 > this.#end) throw new RangeError('a packed value ends before its fields do')
    this.#at = at + 4
    return (buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24)) >>> 0
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
