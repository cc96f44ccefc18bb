// The addresses of one host: A and AAAA asked together, put in the wanted order of families.
//
// One family that fails does not hide the other. Whether an address may be used is judged by the caller.

import type { DnsAnswer, DnsFailure, DnsResolver, DnsResult } from '../../protocol/dns/index.ts'
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

/** Looks up one host. `families` names the ones to ask for, the preferred one first. */
export async function lookupHost(
  resolver: DnsResolver,
  name: string,
  preference: number,
  families: readonly (4 | 6)[],
  signal: AbortSignal,
): Promise<HostLookup> {
  const results = await Promise.all(
    families.map(family => resolver.query(name, family === 4 ? 'A' : 'AAAA', { signal })),
  )
  const addresses: PlanAddress[] = []
  let canonicalName = name
  for (const [index, result] of results.entries()) {
    if (result.kind !== 'answer') continue
    canonicalName = result.canonicalName
    const family = families[index]!
    for (const { address } of (result as DnsAnswer<'A' | 'AAAA'>).records) addresses.push({ address, family })
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
