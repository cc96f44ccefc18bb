/**
 * DNS for the bench's destinations: many domains, each with an MX name of its own below one suffix, as the customers of
 * a large provider have them. Answered by the lab's server from records made by rule.
 */
import { type LabRecord, startLabDns } from '../../src/lab/dns/index.ts'

export interface BenchDns {
  readonly domains: number
  /** Suffix of the MX names, for instance `mail.protection.outlook.com`. */
  readonly suffix: string
  /** MX names are spread over these. */
  readonly addresses: readonly string[]
}

export const benchZone = 'customers.test'

/** The n-th domain. */
export function domainName(index: number): string {
  return `c${index}.${benchZone}`
}

/** @returns the port on 127.0.0.1. */
export async function startBenchDns({ domains, suffix, addresses }: BenchDns): Promise<number> {
  const records: LabRecord[] = []
  for (let index = 0; index < domains; index++) {
    const exchange = `c${index}-customers-test.${suffix}`
    records.push({
      name: domainName(index),
      type: 'MX',
      data: { preference: 10, exchange },
      ttlSeconds: 3600,
    })
    records.push({ name: exchange, type: 'A', data: addresses[index % addresses.length]!, ttlSeconds: 300 })
  }
  const server = await startLabDns({
    zones: [
      { name: benchZone, records: records.filter(one => one.type === 'MX') },
      { name: suffix, records: records.filter(one => one.type === 'A') },
    ],
  })
  return server.port
}
