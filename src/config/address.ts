// Addresses and networks as configuration writes them: `127.0.0.1:2525`, `[::1]:25`, `10.0.0.0/8`.
//
// Place on the path: off it; listeners, DNS servers and the lists of networks are read here (smarthosts: base/host-port.ts).
// Invariants: a socket address holds an IP literal; a network has a prefix length and no bits set behind it.

import { BlockList, isIP } from 'node:net'
import { type Parsed, type SocketAddress, splitHostPort } from '../base/index.ts'

/** Reads `127.0.0.1:2525`, `[::1]:2525` or `localhost:2525` (which is 127.0.0.1). */
export function parseSocketAddress(text: string, defaultPort?: number): Parsed<SocketAddress> {
  const parts = splitHostPort(text, defaultPort)
  if (!parts.ok) return parts
  const host = parts.value.host === 'localhost' ? '127.0.0.1' : parts.value.host
  if (isIP(host) === 0)
    return {
      ok: false,
      why: `${quote(text)} does not start with an IP address (write 127.0.0.1:2525 or [::1]:2525)`,
    }
  return { ok: true, value: { host, port: parts.value.port } }
}

/** Reads the address of a server that is called, so that port 0 is none; without a port it is `defaultPort`. */
export function parseServerAddress(text: string, defaultPort: number): Parsed<SocketAddress> {
  const parsed = parseSocketAddress(text, defaultPort)
  return parsed.ok && parsed.value.port === 0
    ? { ok: false, why: `${quote(text)} has port 0, which nobody can be reached at` }
    : parsed
}

/** Writes an address so that {@link parseSocketAddress} reads it again. */
export function formatSocketAddress(address: SocketAddress): string {
  return isIP(address.host) === 6 ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Reads `10.0.0.0/8`, `fd00::/8` or one address; the answer always has a prefix length. */
export function parseNetwork(text: string): Parsed<string> {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const family = isIP(address)
  const bits = family === 6 ? 128 : 32
  const length = slash < 0 ? String(bits) : text.slice(slash + 1)
  if (family === 0 || address.includes('%') || !/^\d{1,3}$/.test(length) || Number(length) > bits)
    return {
      ok: false,
      why: `${quote(text)} is not a network such as "10.0.0.0/8", "fd00::/8" or "192.0.2.7"`,
    }
  if (!isNetworkAddress(address, family, Number(length)))
    return { ok: false, why: `${quote(text)} has bits set behind its prefix of ${length} bits` }
  return { ok: true, value: `${address}/${Number(length)}` }
}

/** IPv4-mapped addresses (RFC 4291 §2.5.5.2). */
const mapped = new BlockList()
mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** Answers about this many addresses are remembered: the same clients come again and again. */
const rememberedMax = 1024

/** A set of networks that answers whether an address lies in one of them. IPv4-mapped IPv6 addresses count as IPv4. */
export class NetworkSet {
  /** Two lists: in one, an IPv6 network around `::ffff:0:0/96` (`::/64`) would have every IPv4 address in it. */
  readonly #ipv4 = new BlockList()
  readonly #ipv6 = new BlockList()
  readonly #remembered = new Map<string, boolean>()
  /** True when no network was named. */
  readonly isEmpty: boolean

  /** @param networks as {@link parseNetwork} gives them. */
  constructor(networks: readonly string[]) {
    this.isEmpty = networks.length === 0
    for (const network of networks) {
      const { family, bits } = prefixOf(network)
      if (family === 4) this.#ipv4.addSubnet(ipv4Of(bits), bits.length, 'ipv4')
      else this.#ipv6.addSubnet(network.split('/')[0]!, bits.length, 'ipv6')
    }
  }

  /** False for what is not an IP literal. */
  has(address: string): boolean {
    const known = this.#remembered.get(address)
    if (known !== undefined) return known
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear()
    const isIn = this.#check(address)
    this.#remembered.set(address, isIn)
    return isIn
  }

  #check(address: string): boolean {
    const family = isIP(address)
    if (family === 4) return this.#ipv4.check(address, 'ipv4')
    if (family === 0) return false
    // The list of IPv4 knows IPv4-mapped addresses, however they are written.
    return (mapped.check(address, 'ipv6') ? this.#ipv4 : this.#ipv6).check(address, 'ipv6')
  }
}

/**
 * True for a network that is everybody, or so much of it that nobody has it: wider than /8 for IPv4 and than /16 for IPv6,
 * private space apart. IPv4-mapped networks count as IPv4.
 * @param network as {@link parseNetwork} gives it
 */
export function isEverybody(network: string): boolean {
  const { family, bits } = prefixOf(network)
  if (family === 4) return bits.length < 8
  return bits.length < 16 && !privatePrefixes.some(prefix => bits.startsWith(prefix))
}

/** fc00::/7 (RFC 4193) and fe80::/10 (RFC 4291 §2.5.6). */
const privatePrefixes = ['1111110', '1111111010'] as const

/** ::ffff:0:0/96, behind which IPv4 addresses stand (RFC 4291 §2.5.5.2). */
const mappedPrefix = '0'.repeat(80).padEnd(96, '1')

/** The bits that all addresses of a network begin with. */
function prefixOf(network: string): { readonly family: 4 | 6; readonly bits: string } {
  const [address = '', length = ''] = network.split('/')
  const family = isIP(address) === 6 ? 6 : 4
  const bits = addressBits(address, family).slice(0, Number(length))
  return bits.startsWith(mappedPrefix)
    ? { family: 4, bits: bits.slice(mappedPrefix.length) }
    : { family, bits }
}

/** The first address behind a prefix. */
function ipv4Of(bits: string): string {
  const octets = bits.padEnd(32, '0').match(/.{8}/g)!
  return octets.map(octet => Number.parseInt(octet, 2)).join('.')
}

/** True when the address is the first of its network: two neighbours in the same /length differ only behind it. */
function isNetworkAddress(address: string, family: number, length: number): boolean {
  const bits = addressBits(address, family)
  return length >= bits.length || !bits.includes('1', length)
}

/** All bits of an address as text, 32 or 128 of them. */
function addressBits(address: string, family: number): string {
  if (family === 4)
    return address
      .split('.')
      .map(part => Number(part).toString(2).padStart(8, '0'))
      .join('')
  // An IPv4 tail (`::ffff:192.0.2.1`) becomes two groups first.
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const groups = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16)
  const plain = tail ? `${tail[1]}${groups(tail[2]!, tail[3]!)}:${groups(tail[4]!, tail[5]!)}` : address
  const [head = '', rest] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = rest === undefined || rest === '' ? [] : rest.split(':')
  const zeros = rest === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array<string>(zeros).fill('0'), ...right]
    .map(group => Number.parseInt(group, 16).toString(2).padStart(16, '0'))
    .join('')
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
