// Ids: made in any thread or node, sortable by time, 16 bytes in the store, prefix + 26 base32 characters outside.
//
// The 16 bytes are a UUIDv7 (RFC 9562 §5.7). The text form is lower-case base32 (RFC 4648 alphabet),
// 128 bits in 26 characters, the last two bits zero. Within one generator ids are strictly increasing.

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
const codeOf = Buffer.alloc(256, 255)
for (let i = 0; i < 32; i++) codeOf[alphabet.charCodeAt(i)] = i

/** Prefixes in use; each names what the id is of. */
export type IdPrefix = 'msg' | 'acc' | 'crd' | 'dom' | 'str' | 'evt' | 'key'

/** A message id such as `msg_agm4…` (30 characters). */
export type MessageId = string & { readonly __brand: 'MessageId' }

/** Makes ids: 48 bits of time, 12 bits of sequence, 62 random bits. */
export class IdGenerator {
  #lastMs = 0
  #sequence = 0
  #pool: Buffer = Buffer.alloc(0)
  #poolAt = 0
  readonly #nowMs: () => number
  readonly #randomBytes: (sizeBytes: number) => Buffer

  constructor(nowMs: () => number, randomBytes: (sizeBytes: number) => Buffer) {
    this.#nowMs = nowMs
    this.#randomBytes = randomBytes
  }

  /** Sixteen fresh bytes. */
  next(): Buffer {
    const now = this.#nowMs()
    if (now > this.#lastMs) {
      this.#lastMs = now
      this.#sequence = 0
    } else if (++this.#sequence > 0xfff) {
      this.#lastMs++
      this.#sequence = 0
    }
    if (this.#poolAt + 8 > this.#pool.length) {
      this.#pool = this.#randomBytes(4096)
      this.#poolAt = 0
    }
    const id = Buffer.allocUnsafe(16)
    id.writeUIntBE(this.#lastMs, 0, 6)
    id.writeUInt16BE(0x7000 | this.#sequence, 6)
    this.#pool.copy(id, 8, this.#poolAt, this.#poolAt + 8)
    id[8] = (id[8]! & 0x3f) | 0x80
    this.#poolAt += 8
    return id
  }
}

/** The text form of an id. */
export function formatId(prefix: IdPrefix, bytes: Uint8Array): string {
  let bits = 0
  let value = 0
  let at = 0
  for (let i = 0; i < 16; i++) {
    value = ((value & 0x1f) << 8) | bytes[i]!
    bits += 8
    while (bits >= 5) {
      bits -= 5
      letters[at++] = alphabet.charCodeAt((value >> bits) & 31)
    }
  }
  letters[at] = alphabet.charCodeAt((value << (5 - bits)) & 31)
  return `${prefix}_${letters.toString('latin1')}`
}

/** Written anew for each id: adding letter to letter would make 26 strings. */
const letters = Buffer.alloc(26)

/** The message id in its text form. */
export function formatMessageId(bytes: Uint8Array): MessageId {
  return formatId('msg', bytes) as MessageId
}

/** The 16 bytes of an id with this prefix; null when the text is not one. */
export function parseId(prefix: IdPrefix, text: string): Buffer | null {
  if (text.length !== prefix.length + 27 || !text.startsWith(`${prefix}_`)) return null
  const bytes = Buffer.alloc(16)
  let value = 0
  let bits = 0
  let at = 0
  for (let i = prefix.length + 1; i < text.length; i++) {
    const code = codeOf[text.charCodeAt(i) & 255]!
    if (code === 255 || text.charCodeAt(i) > 127) return null
    value = ((value & 0xff) << 5) | code
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (value >> bits) & 0xff
    }
  }
  return (value & ((1 << bits) - 1)) === 0 ? bytes : null
}

/** A message's recipients are numbered from 0, below this: its key and a number make one integer in the store. */
export const recipientsMax = 65_536

/**
 * Splits `msg_….3` into message bytes and recipient number; null when it is not a recipient id. Only what `formatId` and
 * a number would give is one: read more freely, an empty or mistyped number would be that of somebody else.
 */
export function parseRecipientId(text: string): { message: Buffer; number: number } | null {
  const dot = text.lastIndexOf('.')
  if (dot < 0) return null
  const digits = text.slice(dot + 1)
  const message = parseId('msg', text.slice(0, dot))
  if (message === null || !/^(?:0|[1-9]\d{0,4})$/.test(digits)) return null
  const number = Number(digits)
  return number < recipientsMax ? { message, number } : null
}
