// Why there is no host to try: codes by reason in one table, and the sentence for each case.
//
// Texts go into outcomes, events and DSNs: names from DNS come here already escaped to printable ASCII.

import type { DnsFailure } from '../../protocol/dns/index.ts'
import type { HostLookup } from './hosts.ts'
import type { ResolveFailure, ResolveFailureReason } from './types.ts'

/** Codes by reason. 556 and 5.1.10 are RFC 7505 §4, the rest RFC 3463 §3. */
export const failureCodes: Readonly<
  Record<ResolveFailureReason, { readonly code: number; readonly enhancedCode: string }>
> = {
  'bad-domain': { code: 550, enhancedCode: '5.1.3' },
  nxdomain: { code: 550, enhancedCode: '5.1.2' },
  'no-records': { code: 550, enhancedCode: '5.1.2' },
  'null-mx': { code: 556, enhancedCode: '5.1.10' },
  'no-address': { code: 550, enhancedCode: '5.4.4' },
  loop: { code: 554, enhancedCode: '5.4.6' },
  'private-address': { code: 550, enhancedCode: '5.4.4' },
  'dns-failure': { code: 451, enhancedCode: '4.4.3' },
  aborted: { code: 451, enhancedCode: '4.4.3' },
}

/** Makes the failure value. @param ttlMs how long asking again would say the same. */
export function resolveFailure(
  reason: ResolveFailureReason,
  domain: string,
  text: string,
  ttlMs: number,
): ResolveFailure {
  const { code, enhancedCode } = failureCodes[reason]
  const isPermanent = code >= 500
  const where = { stage: 'resolve', scope: 'domain' } as const
  return { kind: 'failure', reason, isPermanent, code, enhancedCode, text, ...where, domain, ttlMs }
}

export function badDomain(domain: string, text: string, kind: string, ttlMs: number): ResolveFailure {
  return resolveFailure(
    'bad-domain',
    domain,
    `${JSON.stringify(text.slice(0, 300))} is no valid ${kind}`,
    ttlMs,
  )
}

export function nullMx(domain: string, ttlMs: number): ResolveFailure {
  return resolveFailure('null-mx', domain, `the domain ${domain} says that it takes no mail (null MX)`, ttlMs)
}

export function loop(domain: string, own: HostLookup, port: number, ttlMs: number): ResolveFailure {
  const text = `mail for ${domain} loops back to us: its best host ${own.name} is this server, at port ${port}`
  return resolveFailure('loop', domain, text, ttlMs)
}

export function dnsFailure(domain: string, failure: DnsFailure): ResolveFailure {
  if (failure.code === 'ABORTED') return resolveFailure('aborted', domain, failure.text, 0)
  return resolveFailure('dns-failure', domain, failure.text, failure.ttlMs)
}

/** Step 6: the reason that says most. */
export function nobodyLeft(
  isImplicitMx: boolean,
  domain: string,
  others: readonly HostLookup[],
  refused: string | null,
  ttlMs: number,
): ResolveFailure {
  for (const host of others) {
    if (host.failure !== null && host.failure.code !== 'BAD_NAME') return dnsFailure(domain, host.failure)
  }
  if (refused !== null) {
    const text = `the destination is in private address space: ${refused}; if mail may go there, add its network to [delivery] allow_private`
    return resolveFailure('private-address', domain, text, ttlMs)
  }
  if (isImplicitMx) {
    const text = `the domain ${domain} has neither MX nor address records, so it cannot receive mail`
    return resolveFailure('no-records', domain, text, ttlMs)
  }
  const names = others.map(host => (host.isNxdomain ? `${host.name} (does not exist)` : host.name))
  const shown = names.length > 3 ? [...names.slice(0, 3), `${names.length - 3} more`] : names
  return resolveFailure(
    'no-address',
    domain,
    `no host of ${domain} has an address: ${shown.join(', ')}`,
    ttlMs,
  )
}
