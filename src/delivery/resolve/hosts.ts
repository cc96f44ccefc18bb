// The addresses of one host: A and AAAA asked together, put in the wanted order of families.
//
// One family that fails does not hide the other. Whether an address may be used is judged by the caller. Of a host with
// thousands of addresses a few are taken, since each is judged, drawn and remembered.

import type {
  DnsAnswer,
  DnsFailure,
  DnsQueryOptions,
  DnsResolver,
  DnsResult,
} from '../../protocol/dns/index.ts'
import type { PlanAddress } from './types.ts'

/** What DNS says about a host. */
export interface HostLookup {
  readonly name: string
  readonly canonicalName: string
  readonly preference: number
  /** In the order of `families`; may be empty. */
  readonly addresses: readonly PlanAddress[]
  readonly isAuthenticated: boolean
  /** Some family could not be asked. */
  readonly failure: DnsFailure | null
  /** Neither family exists because the name does not. */
  readonly isNxdomain: boolean
  /** Smallest life of the answers that came; infinite when none did. */
  readonly ttlMs: number
}

/** Addresses used of one host and family. */
const addressesMax = 16

export interface HostQuestion {
  readonly name: string
  readonly preference: number
  /** The ones to ask for, the preferred one first. */
  readonly families: readonly (4 | 6)[]
  /** From 0 up to but without 1: where in a long list of addresses to begin. */
  readonly random: () => number
}

/** Looks up one host. */
export async function lookupHost(
  resolver: DnsResolver,
  { name, preference, families, random }: HostQuestion,
  asking: DnsQueryOptions,
): Promise<HostLookup> {
  const results = await Promise.all(
    families.map(family => resolver.query(name, family === 4 ? 'A' : 'AAAA', asking)),
  )
  const addresses: PlanAddress[] = []
  let canonicalName = name
  for (const [index, result] of results.entries()) {
    if (result.kind !== 'answer') continue
    canonicalName = result.canonicalName
    const family = families[index]!
    const { records } = result as DnsAnswer<'A' | 'AAAA'>
    const from = records.length > addressesMax ? Math.floor(random() * records.length) : 0
    for (let at = 0; at < Math.min(records.length, addressesMax); at++)
      addresses.push({ address: records[(from + at) % records.length]!.address, family })
  }
  return {
    name,
    canonicalName,
    preference,
    addresses,
    isAuthenticated: results.every(result => result.kind !== 'failure' && result.isAuthenticated),
    failure: results.find(result => result.kind === 'failure') ?? null,
    isNxdomain: results.every(result => result.kind === 'nxdomain'),
    ttlMs: smallestTtlMs(results),
  }
}

function smallestTtlMs(results: readonly DnsResult[]): number {
  let ttlMs = Number.POSITIVE_INFINITY
  for (const result of results) if (result.kind !== 'failure') ttlMs = Math.min(ttlMs, result.ttlMs)
  return ttlMs
}
