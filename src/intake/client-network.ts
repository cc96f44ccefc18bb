// Whom an address belongs to, as far as an address can tell: what is counted together at the doors.
//
// Keys are for counting only. An IPv4 address inside of IPv6 counts as itself.

/** One host: an IPv4 address, or the first 64 bits of IPv6, since one host owns that much. */
export function hostOf(address: string): string {
  const plain = unmapped(address)
  return plain.includes(':') ? firstGroups(plain, 4) : plain
}

/** One network: the first 24 bits of IPv4, the first 48 of IPv6. Who owns one address there often owns more of them. */
export function networkOf(address: string): string {
  const plain = unmapped(address)
  return plain.includes(':') ? firstGroups(plain, 3) : plain.slice(0, plain.lastIndexOf('.'))
}

function unmapped(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** The first groups of 16 bits of an IPv6 address, zeros written out. */
function firstGroups(address: string, count: number): string {
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].slice(0, count).join(':')
}
