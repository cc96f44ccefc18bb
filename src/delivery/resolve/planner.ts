// From a recipient's domain to the hosts to try, in order: the resolve stage of a delivery.
//
// `cached` answers at once on the hot path; `plan` asks DNS. Order among equals is drawn at each call.
// Plan of a domain:
// 1. An address literal is its own host. A name that cannot be one is refused.
// 2. MX records; null MX (RFC 7505), no such domain and DNS failures end here; none at all: the domain
//    itself is the host (implicit MX, RFC 5321 §5.1). At most 50 hosts, best preference first.
// 3. A and AAAA of each host, at most 16 addresses of each.
// 4. Loop rule (RFC 5321 §5.1): a host at our own address and port goes, with all of equal or worse preference. Of a host
//    with our own name they go, too; it stays, since another server may share our name: its greeting tells (handshake).
// 5. Private-address guard: refused addresses go. Hosts without an address are skipped. At most 64 addresses stay: one
//    of each host, and of the best hosts as many as there is room for.
// 6. Nobody left: deferred when a DNS failure may be the cause, else permanent, with the reason that says most.
// 7. What is permanent because DNS has nothing is believed only of servers that know something above (belief.ts).
// Of a smarthost: steps 3 to 5 without the guard; what is wrong with it defers. Remembered as long as the shortest answer.

import type { DnsQueryOptions, DnsResolver, DnsResult } from '../../protocol/dns/index.ts'
import { normaliseName, TtlCache } from '../../protocol/dns/index.ts'
import { type Doubt, findDoubt, type NegativeAnswer } from './belief.ts'
import {
  badDomain,
  dnsFailure,
  loop,
  nobodyLeft,
  nullMx,
  resolveFailure,
  smarthostLoop,
  smarthostUnusable,
} from './failure.ts'
import { type HostLookup, lookupHost } from './hosts.ts'
import { parseAddressLiteral } from './literal.ts'
import { drawOrder, hasTies } from './order.ts'
import type { IsOwnAddress } from './own-address.ts'
import type { AddressGuard } from './private-address.ts'
import { siteOf } from './site.ts'
import type { PlanAddress, PlanHost, PlanResult, ResolveFailureReason } from './types.ts'

/** While one host or family cannot be asked, a plan with the rest lives no longer than this. */
const partialTtlMs = 60_000
/** Servers that are not believed are asked again soon. */
const unbelievedTtlMs = 5000
/** Of one plan. */
const addressesMax = 64
/** Remembered of all plans together, where a host counts as much as four addresses; an ordinary plan has five to twenty. */
const rememberedAddressesMax = 400_000
const hostName = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/

/** Whom a planner asks. */
export interface PlannerResolvers {
  readonly resolver: DnsResolver
  /** Asked whether a negative answer is to be believed; should forget soon. Default `resolver`. */
  readonly witness?: DnsResolver
}

export interface PlannerOptions extends PlannerResolvers {
  /** Told of servers that are not believed, with a sentence. */
  readonly onUnbelievable?: (text: string) => void
  /** For finding out whether negative answers are to be believed. Default 30,000. */
  readonly beliefTimeoutMs?: number
  readonly monotonicMs: () => number
  /** From 0 up to but without 1. */
  readonly random: () => number
  /** Port that deliveries by MX connect to; 25, or `[delivery] port`. */
  readonly port: number
  readonly isOwnAddress: IsOwnAddress
  /** `hostname`; counts when it is a full name. Default none. */
  readonly ownName?: string
  readonly guard: AddressGuard
  /** Address families to use, the preferred one first. Default IPv4, then IPv6. */
  readonly families?: readonly (4 | 6)[]
  /** MX hosts used of one domain. Default 50. */
  readonly hostsMax?: number
  /** Domains remembered. Default 20,000. */
  readonly cacheEntriesMax?: number
}

interface RememberedPlan {
  readonly result: PlanResult
  readonly hasTies: boolean
}

/** Makes and remembers plans. */
export class Planner {
  readonly #options: PlannerOptions
  readonly #families: readonly (4 | 6)[]
  readonly #hostsMax: number
  #guard: AddressGuard
  #resolvers: PlannerResolvers
  /** Counts reloads. */
  #era = 0
  readonly #cache: TtlCache<RememberedPlan>

  constructor(options: PlannerOptions) {
    this.#options = options
    this.#families = options.families ?? [4, 6]
    this.#hostsMax = options.hostsMax ?? 50
    this.#guard = options.guard
    this.#resolvers = options
    const bound = { weightMax: rememberedAddressesMax, weightOf }
    this.#cache = new TtlCache(options.cacheEntriesMax ?? 20_000, options.monotonicMs, bound)
  }

  /** What is remembered for a recipient's domain, without asking; undefined when `plan` must be called. */
  cached(domain: string): PlanResult | undefined {
    return this.#peek(domain.toLowerCase())
  }

  /** The plan for a recipient's domain (A-labels) or address literal. Aborting gives `aborted`, not remembered. */
  async plan(domain: string, options: DnsQueryOptions): Promise<PlanResult> {
    const key = domain.toLowerCase()
    return this.#peek(key) ?? (await this.#current(key, () => this.#planDomain(key, options)))
  }

  /** Like `cached`, for a smarthost. */
  cachedSmarthost(host: string, port: number): PlanResult | undefined {
    return this.#peek(smarthostKey(host, port))
  }

  /**
   * The plan for a host that the operator named: addresses only, no MX, no private-address guard. `host` is a name, or an
   * address with or without brackets.
   */
  async planSmarthost(host: string, port: number, options: DnsQueryOptions): Promise<PlanResult> {
    const key = smarthostKey(host, port)
    return this.#peek(key) ?? (await this.#current(key, () => this.#planSmarthost(host, port, key, options)))
  }

  /**
   * Makes a plan and remembers it. What was judged by a guard, or asked of servers, that a reload has replaced meanwhile is
   * made anew: nobody may go by it.
   */
  async #current(key: string, make: () => Promise<PlanResult>): Promise<PlanResult> {
    for (;;) {
      const era = this.#era
      const result = await make()
      if (era === this.#era) return this.#remember(key, result)
    }
  }

  /** Another private-address guard, as reloaded; all plans are forgotten with the old one. */
  setGuard(guard: AddressGuard): void {
    this.#guard = guard
    this.#forget()
  }

  /** Others to ask, as reloaded; all plans are forgotten with the old ones. */
  setResolvers(resolvers: PlannerResolvers): void {
    this.#resolvers = resolvers
    this.#forget()
  }

  #forget(): void {
    this.#era++
    this.#cache.clear()
  }

  #peek(key: string): PlanResult | undefined {
    const found = this.#cache.get(key)
    if (found === undefined) return undefined
    const result = { ...found.value.result, ttlMs: found.leftMs }
    return found.value.hasTies && result.kind === 'plan' ? drawOrder(result, this.#options.random) : result
  }

  #remember(key: string, result: PlanResult): PlanResult {
    const ties = result.kind === 'plan' && hasTies(result.hosts)
    this.#cache.set(key, { result, hasTies: ties }, result.ttlMs)
    return ties ? drawOrder(result, this.#options.random) : result
  }

  async #planDomain(domain: string, asking: DnsQueryOptions): Promise<PlanResult> {
    const literal = parseAddressLiteral(domain)
    if (literal === 'invalid') {
      return badDomain(domain, domain, 'address literal', partialTtlMs)
    }
    if (literal !== null) {
      const host = withAddresses(domain, 0, [literal])
      return this.#judge({ domain, hosts: [host], mxNames: [domain], isImplicitMx: false, ...noMx })
    }
    const name = normaliseName(domain)
    if (name === null || !hostName.test(name)) {
      return badDomain(domain, domain, 'domain name', partialTtlMs)
    }
    return this.#planMx(domain, name, asking)
  }

  async #planMx(domain: string, name: string, asking: DnsQueryOptions): Promise<PlanResult> {
    const mx = await this.#resolvers.resolver.query(name, 'MX', asking)
    switch (mx.kind) {
      case 'failure':
        return dnsFailure(domain, mx)
      case 'nxdomain': {
        const gone = resolveFailure('nxdomain', domain, `the domain ${domain} does not exist`, mx.ttlMs)
        return this.#believed(gone, [{ name, kind: 'nxdomain' }], asking)
      }
      case 'nodata': {
        const host = await this.#lookup(name, 0, asking)
        const found = { domain, hosts: [host], mxNames: [name], isImplicitMx: true }
        const judged = this.#judge({ ...found, isMxAuthenticated: mx.isAuthenticated, mxTtlMs: mx.ttlMs })
        // That there is no MX is the word of these servers too: a captive portal gives every name its own address.
        const doubtful = [...negativesOf(found.hosts), { name, kind: 'nodata' } as const]
        return this.#believed(judged, doubtful, asking)
      }
      case 'answer': {
        const chosen = chooseMx(mx, this.#hostsMax)
        if (chosen === null) return nullMx(domain, mx.ttlMs)
        const hosts = await Promise.all(chosen.map(one => this.#lookup(one.exchange, one.preference, asking)))
        const mxNames = chosen.map(one => one.exchange).filter(one => hostName.test(one))
        const found = { domain, hosts, mxNames, isImplicitMx: false }
        const judged = this.#judge({ ...found, isMxAuthenticated: mx.isAuthenticated, mxTtlMs: mx.ttlMs })
        return this.#believed(judged, negativesOf(hosts), asking)
      }
    }
  }

  async #lookup(name: string, preference: number, asking: DnsQueryOptions): Promise<HostLookup> {
    if (!hostName.test(name)) return withAddresses(name, preference, [])
    const question = { name, preference, families: this.#families, random: this.#options.random }
    return lookupHost(this.#resolvers.resolver, question, asking)
  }

  async #planSmarthost(
    host: string,
    port: number,
    key: string,
    asking: DnsQueryOptions,
  ): Promise<PlanResult> {
    const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
    const literal = parseAddressLiteral(
      bare.includes(':') ? `[IPv6:${bare.replace(/^ipv6:/i, '')}]` : `[${bare}]`,
    )
    const name = normaliseName(bare)
    if (literal === null || (literal === 'invalid' && (name === null || !hostName.test(name)))) {
      return smarthostUnusable(key, null)
    }
    const lookup =
      literal === 'invalid' ? await this.#lookup(name ?? bare, 0, asking) : withAddresses(bare, 0, [literal])
    const found = { domain: key, hosts: [lookup], mxNames: [key], isImplicitMx: false, ...noMx }
    return this.#judge(found, port)
  }

  /** Step 7. */
  async #believed(
    result: PlanResult,
    negatives: readonly NegativeAnswer[],
    asking: DnsQueryOptions,
  ): Promise<PlanResult> {
    if (result.kind === 'plan' || !restsOnNothing.has(result.reason)) return result
    const { resolver, witness } = this.#resolvers
    const { onUnbelievable, beliefTimeoutMs } = this.#options
    const doubt = await findDoubt(witness ?? resolver, negatives, asking, beliefTimeoutMs)
    if (doubt === null) return result
    if (asking.signal.aborted) return resolveFailure('aborted', result.domain, 'the question was given up', 0)
    const text = unbelievable(doubt)
    onUnbelievable?.(text)
    return resolveFailure('dns-failure', result.domain, text, unbelievedTtlMs)
  }

  /** Steps 4 to 6. With `smarthostPort` the guard does not apply. */
  #judge(found: Found, smarthostPort?: number): PlanResult {
    const { domain } = found
    const port = smarthostPort ?? this.#options.port
    const sorted = [...found.hosts].sort((a, b) => a.preference - b.preference)
    const own = sorted.find(host => host.addresses.some(one => this.#options.isOwnAddress(one.address, port)))
    const named = smarthostPort === undefined ? sorted.find(host => this.#hasOurName(host)) : undefined
    const others = sorted.filter(
      host =>
        (own === undefined || host.preference < own.preference) &&
        (named === undefined || host.preference < named.preference || host === named),
    )
    const ttlMs = lifeOf(found.mxTtlMs, sorted)
    if (own !== undefined && others.length === 0)
      return smarthostPort === undefined ? loop(domain, own, port, ttlMs) : smarthostLoop(domain)
    let refused: string | null = null
    const hosts: PlanHost[] = []
    /** Addresses that may still be used besides the first of each host. */
    let left = Math.max(0, addressesMax - others.length)
    for (const host of others) {
      const addresses: PlanAddress[] = []
      for (const one of host.addresses) {
        if (addresses.length > left) break
        const isRefused = smarthostPort === undefined && this.#guard.isRefused(one.address)
        if (isRefused) refused ??= `${host.name} has the address ${one.address}`
        else addresses.push(one)
      }
      left -= Math.max(0, addresses.length - 1)
      const { name, canonicalName, preference } = host
      const isAuthenticated = host.isAuthenticated && found.isMxAuthenticated
      if (addresses.length > 0) hosts.push({ name, canonicalName, preference, addresses, isAuthenticated })
    }
    if (hosts.length === 0)
      return smarthostPort === undefined
        ? nobodyLeft(found.isImplicitMx, domain, others, refused, ttlMs)
        : smarthostUnusable(domain, others[0] ?? null)
    const { isImplicitMx, isMxAuthenticated } = found
    return { kind: 'plan', domain, ...siteOf(found.mxNames), hosts, isImplicitMx, isMxAuthenticated, ttlMs }
  }

  #hasOurName({ name, canonicalName }: HostLookup): boolean {
    const { ownName = '' } = this.#options
    return ownName.includes('.') && (name === ownName || canonicalName === ownName)
  }
}

function weightOf({ result }: RememberedPlan): number {
  return result.kind === 'plan' ? result.hosts.reduce((sum, host) => sum + 4 + host.addresses.length, 0) : 1
}

interface Found {
  readonly domain: string
  readonly hosts: readonly HostLookup[]
  readonly mxNames: readonly string[]
  readonly isImplicitMx: boolean
  readonly isMxAuthenticated: boolean
  readonly mxTtlMs: number
}

/** Reasons that say "there is nothing". */
const restsOnNothing: ReadonlySet<ResolveFailureReason> = new Set([
  'nxdomain',
  'no-records',
  'no-address',
  'private-address',
])

/** What DNS said of the hosts that have no address. */
function negativesOf(hosts: readonly HostLookup[]): NegativeAnswer[] {
  const without = hosts.filter(({ name, addresses }) => addresses.length === 0 && hostName.test(name))
  return without.map(({ name, isNxdomain }) => ({ name, kind: isNxdomain ? 'nxdomain' : 'nodata' }))
}

function unbelievable({ of: { name, kind }, why }: Doubt): string {
  const said = kind === 'nxdomain' ? 'does not exist' : 'has no records'
  const above =
    why === ''
      ? 'and know of nothing above it either, not even the root'
      : `and do not tell what is above it (${why})`
  return `the DNS servers say that ${name} ${said}, ${above}: they are not believed; look at [dns] servers`
}

/** No MX records were needed: nothing to prove, nothing that runs out. */
const noMx = { isMxAuthenticated: false, mxTtlMs: partialTtlMs } as const

/** MX hosts by preference, each once, at most so many; null for "takes no mail" (RFC 7505 §3). */
function chooseMx(
  mx: DnsResult<'MX'> & { kind: 'answer' },
  hostsMax: number,
): { preference: number; exchange: string }[] | null {
  const sorted = [...mx.records].sort((a, b) => a.preference - b.preference)
  const chosen = new Map<string, { preference: number; exchange: string }>()
  for (const record of sorted) {
    if (chosen.size >= hostsMax) break
    if (record.exchange !== '' && !chosen.has(record.exchange)) chosen.set(record.exchange, record)
  }
  return chosen.size === 0 ? null : [...chosen.values()]
}

/** A host for which DNS has nothing to say: an address literal, or a name that cannot be a host's. */
function withAddresses(name: string, preference: number, addresses: readonly PlanAddress[]): HostLookup {
  const known = { isAuthenticated: false, failure: null, isNxdomain: false, ttlMs: Number.POSITIVE_INFINITY }
  return { name, canonicalName: name, preference, addresses, ...known }
}

function lifeOf(mxTtlMs: number, hosts: readonly HostLookup[]): number {
  let ttlMs = mxTtlMs
  for (const host of hosts) {
    ttlMs = Math.min(ttlMs, host.ttlMs, host.failure === null ? ttlMs : partialTtlMs)
    // Nothing about a question that was given up may be remembered.
    if (host.failure !== null && host.failure.ttlMs === 0 && host.failure.code !== 'BAD_NAME') ttlMs = 0
  }
  return ttlMs
}

function smarthostKey(host: string, port: number): string {
  return `${host.toLowerCase()}:${port}`
}
