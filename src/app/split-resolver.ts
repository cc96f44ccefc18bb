// DNS with the lab on: names of the lab's zones go to the lab's server, everything else to the configured ones.

import type { DnsResolver } from '../protocol/dns/index.ts'

/** Sends each question to one of two resolvers. */
export function splitResolver(lab: DnsResolver, others: DnsResolver): DnsResolver {
  const of = (name: string): DnsResolver => (isLabName(name) ? lab : others)
  return {
    query: (name, type, options) => of(name).query(name, type, options),
    cached: (name, type) => of(name).cached(name, type),
  }
}

function isLabName(name: string): boolean {
  const lower = name.toLowerCase()
  const bare = lower.endsWith('.') ? lower.slice(0, -1) : lower
  return bare === 'test' || bare.endsWith('.test')
}
