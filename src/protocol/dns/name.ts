// Names: the one spelling used inside, which names may be asked, random letter case, reverse names.
//
// A name that passes `normaliseName` holds only printable ASCII, labels of 1 to 63 bytes and at most 253
// bytes in all (RFC 1035 §2.3.4), so the codec cannot be led to write a broken query.

const nameBytesMax = 253
const labelBytesMax = 63

/** Lower case without the last dot, or null when it cannot stand in a query. The root is ''. */
export function normaliseName(name: string): string | null {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name
  if (bare === '') return name === '.' ? '' : null
  if (bare.length > nameBytesMax) return null
  let labelBytes = 0
  for (let i = 0; i < bare.length; i++) {
    const code = bare.charCodeAt(i)
    if (code === 0x2e) {
      if (labelBytes === 0) return null
      labelBytes = 0
    } else if (code <= 0x20 || code >= 0x7f || code === 0x5c || ++labelBytes > labelBytesMax) {
      return null
    }
  }
  return labelBytes === 0 ? null : bare.toLowerCase()
}

/** The spelling inside for a name out of an answer; not checked, since it may be compared only. */
export function foldName(name: string): string {
  return name === '.' ? '' : name.toLowerCase()
}

/** A name out of an answer as callers see it: lower case, anything but printable ASCII as `\ddd` (RFC 4343 §2.1). */
export function printableName(name: string): string {
  return foldName(name).replace(/[^\x21-\x7e]/gu, odd => [...Buffer.from(odd)].map(escaped).join(''))
}

function escaped(byte: number): string {
  return `\\${String(byte).padStart(3, '0')}`
}

/** Flips the case of each letter at random, so that a forger must guess it too. */
export function mixCase(name: string, randomInt: (limit: number) => number): string {
  let mixed = ''
  for (const letter of name) mixed += randomInt(2) === 0 ? letter : letter.toUpperCase()
  return mixed
}

/** The name to ask for the PTR of an address; null when it is no address. */
export function reverseName(address: string): string | null {
  const v4 = parseIpv4(address)
  if (v4 !== null) return `${v4.reverse().join('.')}.in-addr.arpa`
  const groups = parseIpv6(address)
  if (groups === null) return null
  const nibbles = groups.map(group => group.toString(16).padStart(4, '0')).join('')
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`
}

/** The four bytes of a dotted quad, or null. */
export function parseIpv4(text: string): number[] | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  const bytes: number[] = []
  for (const part of parts) {
    const value = Number(part)
    if (!/^\d{1,3}$/.test(part) || value > 255 || (part.length > 1 && part.startsWith('0'))) return null
    bytes.push(value)
  }
  return bytes
}

/** The eight 16-bit groups of an IPv6 address without zone, or null. */
export function parseIpv6(text: string): number[] | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : []
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null
  return [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/** An IPv4 ending is allowed only at the end of the whole address. */
function parseGroups(text: string, isEnd: boolean): number[] | null {
  if (text === '') return []
  const parts = text.split(':')
  const groups: number[] = []
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const v4 = isEnd && index === parts.length - 1 ? parseIpv4(part) : null
      if (v4 === null) return null
      groups.push(v4[0]! * 256 + v4[1]!, v4[2]! * 256 + v4[3]!)
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return groups
}
