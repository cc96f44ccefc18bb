// What a reply says about one name and type: records, a CNAME that leads on, or nothing.
//
// Only records on the chain from the question count: whatever else a server (or a forger) adds for other
// names is ignored, and nothing but the question's own key is ever cached. Lives come from the smallest TTL
// of the chain, or for negative answers from the SOA (RFC 2308 §5).

import { isIPv4, isIPv6 } from 'node:net'
import type { Answer } from 'dns-packet'
import type { DnsReply } from './message.ts'
import { foldName, normaliseName, printableName } from './name.ts'
import type { DnsRecords, DnsType } from './types.ts'

/** RFC 2181 §8: a TTL with the top bit set counts as 0. */
const ttlSecondsMax = 0x7fff_ffff

/** CNAMEs followed in all, inside an answer and by asking again. */
export const cnameStepsMax = 8

export type Reading<T extends DnsType> =
  | {
      readonly kind: 'records'
      readonly records: readonly DnsRecords[T][]
      readonly ttlMs: number
      readonly canonicalName: string
    }
  /** The chain leaves the answer: ask for `target`, with this many steps used. */
  | { readonly kind: 'alias'; readonly target: string; readonly ttlMs: number; readonly steps: number }
  /** `ttlMs` is null without an SOA: such an answer may be used, but hardly remembered. */
  | { readonly kind: 'nodata' | 'nxdomain'; readonly ttlMs: number | null }
  | { readonly kind: 'malformed'; readonly why: string }
  | { readonly kind: 'chain' }

/** Reads a NOERROR or NXDOMAIN reply for `name` (already normalised). */
export function readAnswer<T extends DnsType>(reply: DnsReply, name: string, type: T): Reading<T> {
  let owner = name
  let ttlMs = Number.POSITIVE_INFINITY
  let steps = 0
  for (;;) {
    const found = recordsAt(reply.answers, owner, type)
    if (found === null) return { kind: 'malformed', why: `a ${type} record of ${owner} cannot be read` }
    if (found.records.length > 0) {
      return {
        kind: 'records',
        records: found.records,
        ttlMs: Math.min(ttlMs, found.ttlMs),
        canonicalName: owner,
      }
    }
    const alias = type === 'CNAME' ? undefined : aliasAt(reply.answers, owner)
    if (alias === undefined) break
    const target = normaliseName(alias.target)
    if (target === null) return { kind: 'malformed', why: `the CNAME of ${owner} leads to no valid name` }
    if (++steps > cnameStepsMax) return { kind: 'chain' }
    ttlMs = Math.min(ttlMs, alias.ttlMs)
    owner = target
  }
  return readNegative(reply, steps, owner, ttlMs)
}

function readNegative<T extends DnsType>(
  reply: DnsReply,
  steps: number,
  owner: string,
  ttlMs: number,
): Reading<T> {
  const soaTtlMs = negativeTtlMs(reply.authorities, owner)
  // A chain without a word about its end: this server does not know the target, so ask for it.
  if (steps > 0 && reply.rcode === 0 && soaTtlMs === null)
    return { kind: 'alias', target: owner, ttlMs, steps }
  const life = soaTtlMs === null ? null : Math.min(soaTtlMs, ttlMs)
  return { kind: reply.rcode === 3 ? 'nxdomain' : 'nodata', ttlMs: life }
}

function aliasAt(answers: readonly Answer[], owner: string): { target: string; ttlMs: number } | undefined {
  for (const record of answers) {
    if (record.type === 'CNAME' && isAt(record, owner)) return { target: record.data, ttlMs: ttlOf(record) }
  }
  return undefined
}

function isAt(record: Answer, owner: string): boolean {
  return 'class' in record && record.class === 'IN' && foldName(record.name) === owner
}

function ttlOf(record: Answer): number {
  const seconds = 'ttl' in record ? (record.ttl ?? 0) : 0
  return seconds > ttlSecondsMax ? 0 : seconds * 1000
}

/** RFC 2308 §5: the smaller of the SOA's own TTL and its minimum field; only an SOA above the name counts. */
function negativeTtlMs(authorities: readonly Answer[], name: string): number | null {
  for (const record of authorities) {
    if (record.type !== 'SOA') continue
    const apex = foldName(record.name)
    if (apex !== '' && name !== apex && !name.endsWith(`.${apex}`)) continue
    const minimum = record.data.minimum ?? 0
    return Math.min(ttlOf(record), minimum > ttlSecondsMax ? 0 : minimum * 1000)
  }
  return null
}

function recordsAt<T extends DnsType>(
  answers: readonly Answer[],
  owner: string,
  type: T,
): { records: DnsRecords[T][]; ttlMs: number } | null {
  const records: DnsRecords[T][] = []
  let ttlMs = Number.POSITIVE_INFINITY
  for (const record of answers) {
    if (record.type !== type || !isAt(record, owner)) continue
    const shape = shapeOf(record)
    if (shape === null) return null
    records.push(shape as DnsRecords[T])
    ttlMs = Math.min(ttlMs, ttlOf(record))
  }
  return { records, ttlMs }
}

/** The caller's shape of a decoded record; null when its data cannot be what the type says. */
function shapeOf(record: Answer): DnsRecords[DnsType] | null {
  switch (record.type) {
    case 'A':
      return isIPv4(record.data) ? { address: record.data } : null
    case 'AAAA':
      return isIPv6(record.data) ? { address: record.data } : null
    case 'MX': {
      const { preference, exchange } = record.data
      return { preference: preference ?? 0, exchange: printableName(exchange) }
    }
    case 'TXT': {
      const bytes = Buffer.concat(partsOf(record.data))
      return { text: bytes.toString('utf8'), bytes }
    }
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return { target: printableName(record.data) }
    case 'TLSA': {
      const { usage, selector, matchingType, certificate } = record.data
      return { usage, selector, matchingType, certificate: Buffer.from(certificate) }
    }
    default:
      return null
  }
}

function partsOf(data: string | Buffer | readonly (string | Buffer)[]): Buffer[] {
  const parts = typeof data === 'string' || Buffer.isBuffer(data) ? [data] : data
  return parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part))
}
