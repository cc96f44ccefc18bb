// Why there is no host to try: codes by reason in one table, and the sentence for each case.
//
// Permanent is what the recipient's domain says, or is. A smarthost is not the recipient's: what is wrong with it is ours to
// mend, and the mail waits for that (decision 0021).
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
  'smarthost-unusable': { code: 451, enhancedCode: '4.4.4' },
  'smarthost-loop': { code: 451, enhancedCode: '4.4.6' },
  'dns-failure': { code: 451, enhancedCode: '4.4.3' },
  aborted: { code: 451, enhancedCode: '4.4.3' },
}

const ofConfiguration: ReadonlySet<ResolveFailureReason> = new Set(['smarthost-unusable', 'smarthost-loop'])
/** What the operator may be mending just now is looked at again soon. */
const configurationTtlMs = 5000

/** Makes the failure value. @param ttlMs how long asking again would say the same. */
export function resolveFailure(
  reason: ResolveFailureReason,
  domain: string,
  text: string,
  ttlMs: number,
): ResolveFailure {
  const { code, enhancedCode } = failureCodes[reason]
  const isPermanent = code >= 500
  const where = { stage: 'resolve', scope: ofConfiguration.has(reason) ? 'configuration' : 'domain' } as const
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

/** What is configured leads back to us: nobody is asked, so nothing goes round while the mail waits. */
export function smarthostLoop(smarthost: string): ResolveFailure {
  const text = `the smarthost ${smarthost} is this server itself: name another one in its [[route]]`
  return resolveFailure('smarthost-loop', smarthost, text, configurationTtlMs)
}

/** @param host what DNS said; null for a text that can be no host's */
export function smarthostUnusable(smarthost: string, host: HostLookup | null): ResolveFailure {
  if (host !== null && host.failure !== null && host.failure.code !== 'BAD_NAME')
    return dnsFailure(smarthost, host.failure)
  const why =
    host === null || host.failure !== null
      ? 'is neither a host name nor an address that can be called'
      : host.isNxdomain
        ? 'does not exist, as DNS says'
        : 'has no address in DNS'
  const text = `the smarthost ${smarthost} ${why}: correct its [[route]], or the records of its name`
  return resolveFailure('smarthost-unusable', smarthost, text, configurationTtlMs)
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
