// A message from the network as a value (RFC 1035 §4.1): question, and the records of the types that mail has a use for.
//
// Place on the path: the first thing that sees an answer's bytes; message.ts judges what comes out. Its work is bounded by
// the bytes, whoever wrote them: two thousand records may all point at one name of 127 labels, and others may hold half
// a million types, which took a general decoder 100 ms. A name is copied once and made a string once; the
// data of types that nobody asks for is not looked at. Throws on bytes that make no sense.

import type { Answer } from 'dns-packet'

/** What was asked. */
export interface Question {
  /** As it came; the root is `.`. */
  readonly name: string
  readonly type: number
  readonly isInternet: boolean
}

/** A decoded message. */
export interface DnsMessage {
  readonly flags: number
  readonly questions: readonly Question[]
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  /** The upper bits of the response code, from an OPT record (RFC 6891 §6.1.3). */
  readonly extendedRcode: number
}

export const headerBytes = 12

/** Types by number, as far as we look into their data. */
export const typeNumbers = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  OPT: 41,
  TLSA: 52,
} as const

const nameBytesMax = 253
/** A name has no more labels than that, and after each one pointer is enough. */
const pointersMax = 127
const dot = 0x2e
/** Beside two names, at its end: five numbers. */
const soaNumbersBytes = 20

/** Reads a whole message. */
export function decodeMessage(bytes: Buffer): DnsMessage {
  const reader = new Reader(bytes)
  const count = (at: number): number => bytes.readUInt16BE(at)
  const questions = times(count(4), () => reader.question())
  const answers = reader.records(count(6))
  const authorities = reader.records(count(8))
  reader.records(count(10))
  const { extendedRcode } = reader
  return { flags: bytes.readUInt16BE(2), questions, answers, authorities, extendedRcode }
}

function times<T>(count: number, make: () => T): T[] {
  const made: T[] = []
  for (let left = count; left > 0; left--) made.push(make())
  return made
}

class Reader {
  readonly #bytes: Buffer
  readonly #name: Buffer = Buffer.allocUnsafe(nameBytesMax)
  #at = headerBytes
  extendedRcode = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  question(): Question {
    const name = this.#nameHere()
    return { name, type: this.#u16(), isInternet: this.#u16() === 1 }
  }

  /** So many records; those of types that we do not read are left out. */
  records(count: number): Answer[] {
    const records: Answer[] = []
    for (let left = count; left > 0; left--) {
      const name = this.#nameHere()
      const [type, group, ttl, length] = [this.#u16(), this.#u16(), this.#u32(), this.#u16()]
      const end = this.#at + length
      if (end > this.#bytes.length) throw new Error('a record goes beyond the end')
      if (type === typeNumbers.OPT) this.extendedRcode = ttl >>> 24
      else {
        const known = this.#data(type, end)
        if (known !== null)
          records.push({ name, class: group === 1 ? 'IN' : 'ANY', ttl, flush: false, ...known } as Answer)
      }
      this.#at = end
    }
    return records
  }

  /** Type and data of the record that ends there; null when we have no use for it. */
  #data(type: number, end: number): Pick<Answer, 'type'> | null {
    const bytes = this.#bytes
    switch (type) {
      case typeNumbers.A:
        return typed('A', this.#exactly(4, end).join('.'))
      case typeNumbers.AAAA:
        return typed('AAAA', formatIpv6(this.#exactly(16, end)))
      case typeNumbers.NS:
        return typed('NS', this.#nameHere())
      case typeNumbers.CNAME:
        return typed('CNAME', this.#nameHere())
      case typeNumbers.PTR:
        return typed('PTR', this.#nameHere())
      case typeNumbers.MX:
        return typed('MX', { preference: this.#u16(), exchange: this.#nameHere() })
      case typeNumbers.SOA:
        if (end - this.#at < soaNumbersBytes + 2) throw new Error('an SOA record is too short')
        return typed('SOA', { minimum: bytes.readUInt32BE(end - 4) })
      case typeNumbers.TXT:
        return typed('TXT', [this.#strings(end)])
      case typeNumbers.TLSA: {
        if (end - this.#at < 3) throw new Error('a TLSA record is too short')
        const [usage, selector, matchingType] = bytes.subarray(this.#at)
        return typed('TLSA', {
          usage,
          selector,
          matchingType,
          certificate: bytes.subarray(this.#at + 3, end),
        })
      }
      default:
        return null
    }
  }

  #exactly(length: number, end: number): Buffer {
    if (end - this.#at !== length) throw new Error(`an address has ${end - this.#at} octets`)
    return this.#bytes.subarray(this.#at, end)
  }

  /** All strings up to there in one: that is what a TXT record means in mail (RFC 6376 §3.6.2.2). */
  #strings(end: number): Buffer {
    const whole = Buffer.allocUnsafe(end - this.#at)
    let length = 0
    while (this.#at < end) {
      const next = this.#at + 1 + this.#bytes[this.#at]!
      if (next > end) throw new Error('a string goes beyond its record')
      length += this.#bytes.copy(whole, length, this.#at + 1, next)
      this.#at = next
    }
    return whole.subarray(0, length)
  }

  /** The name that stands here, compressed or not (RFC 1035 §4.1.4): a pointer leads only to what came before. */
  #nameHere(): string {
    const [bytes, name] = [this.#bytes, this.#name]
    let at = this.#at
    let start = at
    let end = -1
    let length = 0
    let pointers = 0
    for (;;) {
      const size = bytes[at++]
      if (size === undefined) throw new Error('a name goes beyond the end')
      if (size === 0) break
      if (size >= 0xc0) {
        const low = bytes[at++]
        if (low === undefined) throw new Error('a name goes beyond the end')
        if (end < 0) end = at
        at = ((size & 0x3f) << 8) | low
        if (at >= start) throw new Error('a name points ahead')
        if (++pointers > pointersMax) throw new Error('a name has more pointers than labels')
        start = at
      } else {
        if (size > 63) throw new Error('a label of an unknown kind')
        if (length > 0) name[length++] = dot
        if (length + size > nameBytesMax) throw new Error('a name is too long')
        if (at + size > bytes.length) throw new Error('a name goes beyond the end')
        // Labels are short: a loop is quicker than a call for each.
        for (const last = at + size; at < last; at++) name[length++] = bytes[at]!
      }
    }
    this.#at = end < 0 ? at : end
    return length === 0 ? '.' : name.toString('utf8', 0, length)
  }

  #u16(): number {
    const value = this.#bytes.readUInt16BE(this.#at)
    this.#at += 2
    return value
  }

  #u32(): number {
    const value = this.#bytes.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }
}

function typed(type: Answer['type'], data: unknown): Pick<Answer, 'type'> {
  return { type, data } as Pick<Answer, 'type'>
}

/** As RFC 5952 wants it: the longest run of zeros is left out, the first of equals. */
function formatIpv6(bytes: Buffer): string {
  const groups = times(8, () => 0).map((_, index) => bytes.readUInt16BE(index * 2))
  let [from, longest] = [0, 1]
  for (let at = 0; at < 8; at++) {
    let run = 0
    while (at + run < 8 && groups[at + run] === 0) run++
    if (run > longest) [from, longest] = [at, run]
  }
  const text = (part: readonly number[]): string => part.map(group => group.toString(16)).join(':')
  if (longest === 1) return text(groups)
  return `${text(groups.slice(0, from))}::${text(groups.slice(from + longest))}`
}
