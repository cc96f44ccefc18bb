// What a running server uses of the configuration: its types, addresses and TLS files, without the schema that reads it.
//
// The schema and its library weigh 10 MB in each thread that loads them; only who reads a configuration needs them.
export type { SocketAddress } from '../../base/index.ts'
export { formatSocketAddress, NetworkSet } from '../address.ts'
export { serverTlsOptions, type TlsMaterial, trustedAuthorities } from '../tls-material.ts'
export type { Config, ListenerConfig, RouteConfig } from '../types.ts'
