// The resolver: DNS answers with their lives, as values. Used by delivery, and by auth for keys and policies.

export { TtlCache } from './cache.ts'
export { normaliseName, parseIpv4, parseIpv6, reverseName } from './name.ts'
export { machinePorts } from './ports.ts'
export {
  type DnsCounters,
  type DnsQueryOptions,
  type DnsResolver,
  type DnsServerHealth,
  Resolver,
} from './resolver.ts'
export type {
  DnsAnswer,
  DnsFailure,
  DnsFailureCode,
  DnsNegative,
  DnsOptions,
  DnsPorts,
  DnsRecords,
  DnsResult,
  DnsServer,
  DnsType,
} from './types.ts'
