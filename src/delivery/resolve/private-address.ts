// The private-address guard: whom we do not connect to only because a stranger's DNS says so.
//
// A recipient's domain is input from outside; its MX may point at a database on our own network. Every
// address out of DNS or an address literal passes here, smarthosts named by the operator do not. Forms that
// carry an IPv4 address inside an IPv6 one are opened and the inside is judged too. The plan holds the
// judged addresses themselves and no name is looked up again when connecting, so an answer cannot change in between.

import { BlockList, isIP } from 'node:net'
import { parseIpv4, parseIpv6 } from '../../protocol/dns/index.ts'

/** Networks that are never a public mail server (IANA special-purpose registries; RFC 6890). */
const refusedIpv4: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
]

const refusedIpv6: readonly string[] = [
  // Unspecified, loopback and the old IPv4-compatible form (RFC 4291 §2.5.5.1).
  '::/96',
  // IPv4-mapped and IPv4-translated: no AAAA record has a right to them.
  '::ffff:0:0/96',
  '::ffff:0:0:0/96',
  // Local-use NAT64 (RFC 8215): leads into the operator's own network.
  '64:ff9b:1::/48',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]

/** Judges addresses. */
export interface AddressGuard {
  /** True when no connection may be made to this address. Anything that is no address is refused. */
  isRefused(address: string): boolean
}

/** What is wrong with a network in CIDR form (or a single address), or null when nothing is. */
export function cidrProblem(cidr: string): string | null {
  const slash = cidr.indexOf('/')
  const address = slash < 0 ? cidr : cidr.slice(0, slash)
  const family = isIP(address)
  if (family === 0 || address.includes('%'))
    return `${JSON.stringify(cidr)} does not begin with an IP address`
  if (slash < 0) return null
  const bits = cidr.slice(slash + 1)
  const bitsMax = family === 4 ? 32 : 128
  return /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax
    ? null
    : `${JSON.stringify(cidr)} needs a prefix length from 0 to ${bitsMax} after the slash`
}

/**
 * The guard, with exceptions.
 * @param allowPrivate networks in CIDR form, from `[delivery] allow_private`; throws on one that
 * `cidrProblem` complains about, since the configuration was checked before.
 */
export function createAddressGuard(allowPrivate: readonly string[]): AddressGuard {
  const refused = networks([...refusedIpv4, ...refusedIpv6])
  const allowed = networks(allowPrivate)
  const isIn = (lists: Networks, address: string): boolean =>
    isIP(address) === 6 ? lists.ipv6.check(address, 'ipv6') : lists.ipv4.check(address, 'ipv4')
  const isRefused = (address: string): boolean => {
    if (isIP(address) === 0 || address.includes('%')) return true
    const inner = embeddedIpv4(address)
    if (isIn(allowed, address)) return false
    if (inner.length > 0 && inner.every(one => isIn(allowed, one))) return false
    return isIn(refused, address) || inner.some(one => isIn(refused, one))
  }
  return { isRefused }
}

/** Two lists: in one, an IPv6 network around `::ffff:0:0/96` would also match every IPv4 address. */
interface Networks {
  readonly ipv4: BlockList
  readonly ipv6: BlockList
}

function networks(cidrs: readonly string[]): Networks {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const cidr of cidrs) {
    const problem = cidrProblem(cidr)
    if (problem !== null) throw new TypeError(problem)
    const [address = '', bits] = cidr.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const bitsMax = family === 'ipv6' ? 128 : 32
    lists[family].addSubnet(address, bits === undefined ? bitsMax : Number(bits), family)
  }
  return lists
}

/** The IPv4 addresses that an IPv6 address leads to, by the forms that exist for that. */
export function embeddedIpv4(address: string): string[] {
  if (parseIpv4(address) !== null) return []
  const groups = parseIpv6(address)
  if (groups === null) return []
  const [g0, g1, g2, g3, g4, g5] = groups as [number, number, number, number, number, number]
  const last = ipv4Of(groups[6]!, groups[7]!)
  const hasEmptyMiddle = g2 === 0 && g3 === 0 && g4 === 0 && g5 === 0
  // IPv4-mapped, IPv4-translated, IPv4-compatible (RFC 4291 §2.5.5, RFC 2765 §2.1).
  const isZeroHead = g0 === 0 && g1 === 0 && g2 === 0 && g3 === 0
  if (isZeroHead && ((g4 === 0 && (g5 === 0xffff || g5 === 0)) || (g4 === 0xffff && g5 === 0))) return [last]
  // NAT64: well-known prefix (RFC 6052 §2.1) and local-use prefix with 96 bits (RFC 8215).
  if (g0 === 0x64 && g1 === 0xff9b && (hasEmptyMiddle || g2 === 1)) return [last]
  // 6to4 (RFC 3056 §2).
  if (g0 === 0x2002) return [ipv4Of(g1, g2)]
  // Teredo (RFC 4380 §4): server, then the client with all bits turned over.
  if (g0 === 0x2001 && g1 === 0) {
    return [ipv4Of(g2, g3), ipv4Of(groups[6]! ^ 0xffff, groups[7]! ^ 0xffff)]
  }
  // ISATAP (RFC 5214 §6.1), under any prefix.
  if ((g4 === 0 || g4 === 0x0200) && g5 === 0x5efe) return [last]
  return []
}

function ipv4Of(high: number, low: number): string {
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
}
