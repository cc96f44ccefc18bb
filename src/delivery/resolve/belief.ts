// Whether a "there is nothing" of DNS may bounce mail: only from servers that know of something above the name.
//
// Place: the planner asks before a permanent failure that rests on a negative answer. A resolver that lost its
// upstream, a captive portal or a broken filter may say NXDOMAIN, or nothing at all, for every name there is; believed,
// it would bounce the whole queue in minutes. A server that works knows the zones above: "no such name" is believed
// when some name above exists, "no records" when the name servers of the name or of one above are told. Asked of a
// resolver with a short memory, since what it knew before it broke says nothing.

import type { DnsQueryOptions, DnsResolver } from '../../protocol/dns/index.ts'

/** What the servers said of a name. */
export interface NegativeAnswer {
  readonly name: string
  readonly kind: 'nxdomain' | 'nodata'
}

/** False when the servers know of nothing above the name: their word is then a failure, not an answer. */
export async function isBelievable(
  resolver: DnsResolver,
  { name, kind }: NegativeAnswer,
  asking: DnsQueryOptions,
): Promise<boolean> {
  // A name that does not exist has no servers; the search begins above it.
  let above: string | null = kind === 'nodata' ? name : parentOf(name)
  while (above !== null) {
    const servers = await resolver.query(above, 'NS', asking)
    if (servers.kind === 'answer' || (kind === 'nxdomain' && servers.kind === 'nodata')) return true
    above = parentOf(above)
  }
  return false
}

/** The root is ''; there is nothing above it. */
function parentOf(name: string): string | null {
  if (name === '') return null
  const dot = name.indexOf('.')
  return dot < 0 ? '' : name.slice(dot + 1)
}
