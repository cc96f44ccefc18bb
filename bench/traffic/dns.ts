/**
 * DNS for the bench's destinations: many domains, each with an MX name of its own below one suffix, as the customers of
 * a large provider have them. Answered by the lab's server from records made by rule.
 */
import { type LabRecord, startLabDns } from '../../src/lab/dns/index.ts'

/** Domains `<prefix>0.<zone>` and so on; without a prefix the zone itself is the one domain. */
export interface DomainGroup {
  readonly zone: string
  readonly prefix: string
  readonly domains: number
  /** Suffix of the MX names, for instance `mail.protection.outlook.com`. */
  readonly suffix: string
  /** MX names are spread over these. */
  readonly addresses: readonly string[]
}

/** The many domains that a generator sends to. */
export const benchZone = 'customers.test'
const benchPrefix = 'c'

/** The n-th of the many domains. */
export function domainName(index: number): string {
  return `${benchPrefix}${index}.${benchZone}`
}

/** So many domains below one suffix. */
export function manyDomains(domains: number, suffix: string, addresses: readonly string[]): DomainGroup {
  return { zone: benchZone, prefix: benchPrefix, domains, suffix, addresses }
}

/** Where a generator sends to when it is not told of domains. */
export function oneDomain(addresses: readonly string[]): DomainGroup {
  return { zone: 'sink.test', prefix: '', domains: 1, suffix: 'mx.sink.test', addresses }
}

/** @returns the port on 127.0.0.1. */
export async function startBenchDns(groups: readonly DomainGroup[]): Promise<number> {
  const zones = groups.flatMap(({ zone, prefix, domains, suffix, addresses }) => {
    const exchanges: LabRecord[] = []
    const hosts: LabRecord[] = []
    for (let index = 0; index < domains; index++) {
      const name = prefix === '' ? zone : `${prefix}${index}.${zone}`
      const exchange = `${name.replaceAll('.', '-')}.${suffix}`
      exchanges.push({ name, type: 'MX', data: { preference: 10, exchange }, ttlSeconds: 3600 })
      hosts.push({ name: exchange, type: 'A', data: addresses[index % addresses.length]!, ttlSeconds: 300 })
    }
    return [
      { name: zone, records: exchanges },
      { name: suffix, records: hosts },
    ]
  })
  return (await startLabDns({ zones })).port
}
