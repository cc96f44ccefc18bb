// The PROXY protocol header, versions 1 and 2, as HAProxy and other load balancers send it before anything else.
//
// A pure parser over the bytes received so far. It never guesses: a header that is not exactly right is bad, and
// the connection is closed without a greeting, since nobody can say who the client is. Each address has one spelling
// here, whatever the proxy's: IPv4 inside of IPv6 is IPv4, or all such clients would count as one host.

import { isIPv4, isIPv6 } from 'node:net'

/** What the bytes so far are. */
export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'bad'; readonly why: string }
  | {
      readonly kind: 'complete'
      /** Octets of the header; what follows belongs to the session. */
      readonly bytes: number
      /** The client; null for LOCAL and UNKNOWN, where the real peer is the client. */
      readonly source: { readonly address: string; readonly port: number } | null
    }

const signatureV2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const prefixV1 = Buffer.from('PROXY ', 'latin1')
/** Version 1: the whole line with its CRLF. */
const lineBytesMax = 107
/** Version 2: our own bound for addresses and TLVs together; real ones are under 1 KiB. */
const payloadBytesMax = 4096

const incomplete: ProxyHeader = { kind: 'incomplete' }
const bad = (why: string): ProxyHeader => ({ kind: 'bad', why })

const startsLike = (bytes: Buffer, wanted: Buffer): boolean => {
  const length = Math.min(bytes.length, wanted.length)
  return bytes.compare(wanted, 0, length, 0, length) === 0
}

/** Parses the beginning of a connection. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return incomplete
  if (startsLike(bytes, signatureV2)) return bytes.length < 16 ? incomplete : parseV2(bytes)
  if (startsLike(bytes, prefixV1)) return bytes.length < prefixV1.length ? incomplete : parseV1(bytes)
  return bad('no PROXY header')
}

function parsePort(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(text)) return -1
  const port = Number(text)
  return port <= 65_535 ? port : -1
}

function parseV1(bytes: Buffer): ProxyHeader {
  const lf = bytes.subarray(0, lineBytesMax).indexOf(0x0a)
  if (lf < 0) return bytes.length >= lineBytesMax ? bad('the PROXY line is too long') : incomplete
  if (bytes[lf - 1] !== 0x0d) return bad('the PROXY line does not end with CRLF')
  const words = bytes.toString('latin1', 0, lf - 1).split(' ')
  if (words[1] === 'UNKNOWN') return { kind: 'complete', bytes: lf + 1, source: null }
  const [, family, source, destination, sourcePort, destinationPort] = words
  const read = family === 'TCP4' ? readIpv4 : family === 'TCP6' ? readIpv6 : null
  if (read === null || words.length !== 6) return bad('the PROXY line is malformed')
  const address = read(source!)
  if (address === null || read(destination!) === null) return bad('the PROXY line has a bad address')
  const port = parsePort(sourcePort!)
  if (port < 0 || parsePort(destinationPort!) < 0) return bad('the PROXY line has a bad port')
  return { kind: 'complete', bytes: lf + 1, source: { address, port } }
}

const readIpv4 = (text: string): string | null => (isIPv4(text) ? text : null)

/** The short form of an IPv6 address, or the IPv4 address inside of it; null when it is none. */
function readIpv6(text: string): string | null {
  // The URL parser knows the short form, and refuses a zone (`%eth0`), which means nothing on another host.
  const address = isIPv6(text) ? URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1) : undefined
  if (address === undefined) return null
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(address)
  if (mapped === null) return address
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)]
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`
}

function ipv6Text(bytes: Buffer, at: number): string {
  const groups: string[] = []
  for (let i = 0; i < 16; i += 2) groups.push(bytes.readUInt16BE(at + i).toString(16))
  return readIpv6(groups.join(':'))!
}

function parseV2(bytes: Buffer): ProxyHeader {
  const version = bytes[12]! >> 4
  const command = bytes[12]! & 0x0f
  const family = bytes[13]!
  const payloadBytes = bytes.readUInt16BE(14)
  if (version !== 2 || command > 1) return bad('unknown version or command in the PROXY header')
  if (payloadBytes > payloadBytesMax) return bad('the PROXY header is too long')
  const end = 16 + payloadBytes
  if (bytes.length < end) return incomplete
  // TLVs behind the addresses are skipped by the length.
  if (command === 0) return { kind: 'complete', bytes: end, source: null }
  if (family === 0x11) {
    if (payloadBytes < 12) return bad('the PROXY header is too short')
    const address = bytes.subarray(16, 20).join('.')
    return { kind: 'complete', bytes: end, source: { address, port: bytes.readUInt16BE(24) } }
  }
  if (family === 0x21) {
    if (payloadBytes < 36) return bad('the PROXY header is too short')
    return {
      kind: 'complete',
      bytes: end,
      source: { address: ipv6Text(bytes, 16), port: bytes.readUInt16BE(48) },
    }
  }
  if (family === 0x00) return { kind: 'complete', bytes: end, source: null }
  return bad('the PROXY header is not for TCP over IPv4 or IPv6')
}
