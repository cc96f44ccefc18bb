// From the configuration to what delivery wants: options, routes, the planner with its resolvers and guards.
//
// Read when a relay thread is built, and again at a reload. Limits on connections are divided by the threads, so that the
// configured numbers hold for the whole process.

import { createHash } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../base/index.ts'
import {
  type Config,
  NetworkSet,
  type RouteConfig,
  type SocketAddress,
  type TlsMaterial,
  trustedAuthorities,
} from '../config/running/index.ts'
import {
  type AddressGuard,
  createAddressGuard,
  type DeliveryOptions,
  defaultDeliveryOptions,
  ownAddressCheck,
  Planner,
  type PlannerResolvers,
  type Route,
  type Smarthost,
} from '../delivery/index.ts'
import {
  type DnsOptions,
  type DnsResolver,
  type DnsServer,
  machinePorts,
  Resolver,
} from '../protocol/dns/index.ts'
import { defaultReplyLimits, makeClientContext } from '../protocol/smtp/client/index.ts'
import type { Log } from '../telemetry/index.ts'
import type { LabAddresses } from './relay-data.ts'
import { splitResolver } from './split-resolver.ts'

/** Loopback servers are trusted to validate DNSSEC: the path to them cannot be forged. */
const loopback = new NetworkSet(['127.0.0.0/8', '::1/128'])

/** Options of one thread: limits on connections are divided by the threads. */
export function deliveryOptionsOf(
  config: Config,
  threads: number,
  lab: LabAddresses | null,
  tls: TlsMaterial,
): DeliveryOptions {
  const { delivery, limits, retry, hostname } = config
  const share = (all: number): number => Math.max(1, Math.ceil(all / threads))
  return {
    ...defaultDeliveryOptions,
    source: {
      name: hostname,
      ehloName: hostname,
      ipv4: delivery.bind.find(address => !address.includes(':')) ?? '',
      ipv6: delivery.bind.find(address => address.includes(':')) ?? '',
    },
    mxPort: lab === null ? delivery.port : lab.mxPort,
    retry: { intervalsMs: retry.scheduleMs },
    connectionsPerSite: share(delivery.connectionsPerSite),
    connectionsPerHost: share(delivery.connectionsPerSite),
    connectionsTotal: share(delivery.connectionsTotal),
    messagesPerConnection: delivery.messagesPerConnection,
    recipientsPerTransaction: delivery.recipientsPerTransaction,
    idleConnectionMs: delivery.idleConnectionMs,
    tlsFallbackAfterMs: delivery.tlsFallbackAfterMs,
    tlsMemoryMs: delivery.tlsMemoryMs,
    trust: trustOf(tls),
    readyRecipientsMax: share(limits.readyQueueRecipients),
    readyContentBytesMax: share(limits.readyQueueSizeBytes),
    timeouts: {
      connectMs: delivery.connectTimeoutMs,
      tlsMs: delivery.connectTimeoutMs,
      greetingMs: delivery.greetingTimeoutMs,
      ehloMs: delivery.commandTimeoutMs,
      starttlsMs: delivery.commandTimeoutMs,
      mailMs: delivery.commandTimeoutMs,
      rcptMs: delivery.commandTimeoutMs,
      dataMs: delivery.dataTimeoutMs,
      blockMs: delivery.dataTimeoutMs,
      eomMs: delivery.endOfDataTimeoutMs,
    },
    limits: {
      reply: {
        ...defaultReplyLimits,
        linesMax: limits.replyLines,
        bytesMax: limits.replySizeBytes,
      },
    },
  }
}

/** Null without authorities of the operator's own: Node's are then in force anyway. */
function trustOf(tls: TlsMaterial): SecureContext | null {
  if (tls.caPem === '') return null
  return makeClientContext(trustedAuthorities(tls))
}

/** The routes, smarthosts as the operator named them. */
export function routesOf(config: Config): readonly Route[] {
  return config.routes.map(route => ({
    recipientDomain: route.recipientDomain,
    smarthost: { ...route.smarthost, tls: route.tls, ...loginOf(route) },
  }))
}

function loginOf({ username, password }: RouteConfig): Partial<Smarthost> {
  if (username === null || password === null) return {}
  const loginId = createHash('sha256')
    .update(JSON.stringify([username, password]))
    .digest('base64url')
  return { credentials: { username, password }, loginId }
}

/** Whom to ask. */
export interface ResolverParts {
  readonly config: Config
  readonly dnsServers: readonly SocketAddress[]
  readonly lab: LabAddresses | null
  readonly log: Log
}

/** What resolving needs of the thread. */
export interface PlannerParts extends ResolverParts {
  readonly clock: Clock
  readonly random: () => number
}

/** What the witness of negative answers remembers must be of now, not of before the servers broke. */
const witnessOptions = {
  ttlMsMin: 1000,
  ttlMsMax: 1000,
  negativeTtlMsMax: 1000,
  failureTtlMs: 1000,
  cacheEntriesMax: 1000,
}
/** Whole plans are remembered: beside them few answers are asked for twice, such as the addresses of a shared MX host. */
const resolverCacheEntriesMax = 2_000
/** Servers that are not believed are told of once in a while, not for each domain. */
const unbelievableEveryMs = 60_000

/** New ones, which remember nothing. With the lab on and no server configured, the lab answers everything. */
export function makeResolvers({ config, dnsServers, lab, log }: ResolverParts): PlannerResolvers {
  const onServer = (server: string, isUp: boolean): void =>
    log.event(isUp ? 'dns.server-up' : 'dns.server-down', { server })
  return {
    resolver: makeResolver(config, dnsServers, lab, { onServer, cacheEntriesMax: resolverCacheEntriesMax }),
    witness: makeResolver(config, dnsServers, lab, witnessOptions),
  }
}

/** The planner over its resolvers. */
export function makePlanner(parts: PlannerParts): Planner {
  const { config, lab, clock, random, log } = parts
  let toldMs = Number.NEGATIVE_INFINITY
  const onUnbelievable = (text: string): void => {
    const nowMs = clock.monotonicMs()
    if (nowMs - toldMs < unbelievableEveryMs) return
    toldMs = nowMs
    log.event('dns.not-believed', { why: text })
  }
  const listeners = config.listeners.map(({ address }) => ({ address: address.host, port: address.port }))
  return new Planner({
    ...makeResolvers(parts),
    onUnbelievable,
    monotonicMs: () => clock.monotonicMs(),
    random,
    port: lab === null ? config.delivery.port : lab.mxPort,
    isOwnAddress: ownAddressCheck(listeners, machineAddresses()),
    ownName: config.hostname,
    guard: privateGuardOf(config, lab),
  })
}

/** Which addresses MX hosts may not have; the lab's hosts are on loopback. */
export function privateGuardOf(config: Config, lab: LabAddresses | null): AddressGuard {
  const { allowPrivate } = config.delivery
  return createAddressGuard(lab === null ? allowPrivate : [...allowPrivate, '127.0.0.0/8'])
}

function makeResolver(
  config: Config,
  servers: readonly SocketAddress[],
  lab: LabAddresses | null,
  options: Partial<DnsOptions>,
): DnsResolver {
  const of = (list: readonly DnsServer[]): DnsResolver =>
    new Resolver({ ...options, servers: list, ports: machinePorts })
  const ordinary = servers.map(({ host, port }) => ({ address: host, port, isTrusted: loopback.has(host) }))
  if (lab === null) return of(ordinary)
  const labResolver = of([{ address: '127.0.0.1', port: lab.dnsPort }])
  return config.dns.servers.length === 0 ? labResolver : splitResolver(labResolver, of(ordinary))
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({ address }) => address))
}
