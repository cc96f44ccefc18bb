// The simulated internet: sites with their domains, and the plans that the resolver would make of them.

import type { PlanResult } from '../../src/delivery/index.ts'
import type { Random } from '../support/random.ts'
import { Site, type SiteSettings } from './site.ts'
import type { VirtualTime } from './virtual-time.ts'

const planTtlMs = 300_000
const dnsMs = 30

const settings: readonly Omit<SiteSettings, 'name' | 'domains'>[] = [
  { hosts: 1, rcptMax: null, recipientsTaken: 1000, role: 'ordinary' },
  { hosts: 2, rcptMax: null, recipientsTaken: 1000, role: 'ordinary' },
  { hosts: 3, rcptMax: 5, recipientsTaken: 5, role: 'ordinary' },
  { hosts: 2, rcptMax: null, recipientsTaken: 3, role: 'ordinary' },
  { hosts: 1, rcptMax: null, recipientsTaken: 1000, role: 'ordinary' },
  { hosts: 2, rcptMax: 20, recipientsTaken: 20, role: 'ordinary' },
  { hosts: 1, rcptMax: null, recipientsTaken: 1000, role: 'ordinary' },
  { hosts: 1, rcptMax: null, recipientsTaken: 1000, role: 'senders' },
  // One to two messages a second: behind a newsletter for it everybody would wait ten minutes, were there no turns.
  { hosts: 2, rcptMax: null, recipientsTaken: 1000, role: 'provider', stepMs: 4_000 },
]

/** All sites, and the resolver in front of them. */
export class World {
  readonly sites: readonly Site[]
  readonly #random: Random
  readonly #time: VirtualTime
  readonly #byDomain = new Map<string, Site>()
  readonly #byAddress = new Map<string, Site>()
  readonly #cached = new Map<string, { readonly result: PlanResult; readonly untilMs: number }>()

  constructor(time: VirtualTime, random: Random) {
    this.#time = time
    this.#random = random
    this.sites = settings.map((one, number) => {
      const name = `site${number}.test`
      const domains =
        one.role === 'senders' ? ['senders.test'] : Array.from({ length: 4 }, (_, i) => `d${i}.${name}`)
      return new Site({ ...one, name, domains }, number, time, random.fork())
    })
    for (const site of this.sites) {
      for (const domain of site.settings.domains) this.#byDomain.set(domain, site)
      for (const { address } of site.hosts) this.#byAddress.set(address, site)
    }
  }

  siteAt(address: string): Site {
    return this.#byAddress.get(address)!
  }

  siteOf(domain: string): Site | undefined {
    return this.#byDomain.get(domain)
  }

  // ---- the resolver, as delivery asks it -----------------------------------------------------------------------------

  cached(domain: string): PlanResult | undefined {
    const known = this.#cached.get(domain)
    return known !== undefined && this.#time.monotonicMs() < known.untilMs ? known.result : undefined
  }

  plan(domain: string): Promise<PlanResult> {
    return new Promise(resolve => {
      this.#time.after(dnsMs, () => {
        const result = this.#make(domain)
        this.#cached.set(domain, { result, untilMs: this.#time.monotonicMs() + result.ttlMs })
        resolve(result)
      })
    })
  }

  cachedSmarthost(): PlanResult | undefined {
    return undefined
  }

  planSmarthost(host: string): Promise<PlanResult> {
    return this.plan(host)
  }

  #make(domain: string): PlanResult {
    const site = this.#byDomain.get(domain)
    const failure = { kind: 'failure', stage: 'resolve', scope: 'domain', domain } as const
    if (site === undefined) {
      const text = `the domain ${domain} does not exist`
      return {
        ...failure,
        reason: 'nxdomain',
        isPermanent: true,
        code: 550,
        enhancedCode: '5.1.2',
        text,
        ttlMs: 60_000,
      }
    }
    if (site.weather === 'dns-down') {
      const text = `the servers of ${domain} do not answer`
      return {
        ...failure,
        reason: 'dns-failure',
        isPermanent: false,
        code: 451,
        enhancedCode: '4.4.3',
        text,
        ttlMs: 5_000,
      }
    }
    const hosts = site.hosts.map(({ name, address }, index) => ({
      name,
      canonicalName: name,
      // The first two share a preference and change places.
      preference: index < 2 ? 10 : 20,
      addresses: [{ address, family: 4 as const }],
      isAuthenticated: false,
    }))
    if (hosts.length > 1 && this.#random.chance(0.5)) hosts.unshift(...hosts.splice(1, 1))
    return {
      kind: 'plan',
      domain,
      site: site.settings.name,
      provider: null,
      hosts,
      isImplicitMx: false,
      isMxAuthenticated: false,
      ttlMs: planTtlMs,
    }
  }
}
