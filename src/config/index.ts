// Configuration: one schema with docs, loading, limits, and the TLS files it names.
export type { SocketAddress } from '../base/index.ts'
export { formatSocketAddress, NetworkSet, parseNetwork, parseSocketAddress } from './address.ts'
export { type LoadRequest, type LoadResult, loadConfig } from './load.ts'
export { networkListeners } from './network-listeners.ts'
export { formatProblem, type Problem } from './problem.ts'
export { formatDuration, formatSize, parseDuration, parseSize } from './quantity.ts'
export { configSections, type Section } from './schema.ts'
export { type CertificatePair, type CertificateRequest, makeCertificate } from './self-signed.ts'
export { dnsServersOf } from './system-dns.ts'
export {
  loadTlsMaterial,
  serverTlsOptions,
  storedSelfSigned,
  type TlsMaterial,
  type TlsMaterialResult,
  type TlsRequest,
  trustedAuthorities,
} from './tls-material.ts'
export type {
  Config,
  DeliveryConfig,
  DnsConfig,
  HttpConfig,
  LabConfig,
  LimitsConfig,
  ListenerConfig,
  ListenerKind,
  LogConfig,
  OperatorDkimConfig,
  RetentionConfig,
  RetryConfig,
  RouteConfig,
  StoreConfig,
  TlsConfig,
} from './types.ts'
