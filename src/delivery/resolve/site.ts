// The destination site of a set of MX hosts: what connections are counted by.
//
// The provider's name when all hosts are its own, else the set itself: lower case, sorted, joined by commas.
// Provider names hold no dot or colon, and a set without any gets a dot, so the two never meet.
// A very long set is cut and closed with a digest, since this is a key in many places.

import { createHash } from 'node:crypto'
import { mailProviders } from './providers.ts'

const siteBytesMax = 255

/** A site and, where known, its provider. */
export interface Site {
  readonly site: string
  readonly provider: string | null
}

/** The site of these MX host names; the order does not matter. */
export function siteOf(mxHosts: readonly string[]): Site {
  const hosts = [...new Set(mxHosts.map(host => host.toLowerCase().replace(/\.$/, '')))].sort()
  const provider = providerOf(hosts)
  if (provider !== null) return { site: provider, provider }
  const joined = hosts.join(',')
  const dotted = /[.:]/.test(joined) ? joined : `${joined}.`
  return { site: dotted.length <= siteBytesMax ? dotted : shortened(dotted), provider: null }
}

function providerOf(hosts: readonly string[]): string | null {
  if (hosts.length === 0) return null
  for (const { name, suffixes } of mailProviders) {
    if (hosts.every(host => suffixes.some(suffix => host.endsWith(suffix)))) return name
  }
  return null
}

function shortened(joined: string): string {
  const digest = createHash('sha256').update(joined).digest('hex').slice(0, 32)
  return `${joined.slice(0, siteBytesMax - digest.length - 1)}#${digest}`
}
