// The configuration as the program uses it: names in camelCase, units last, every value present.
//
// Place on the path: off it; `app` takes it apart and hands each part only what that part uses. It is plain data, so
// that it can be posted to a worker thread. The keys of postrider.toml, their texts and defaults are in keys/.

import type { SmarthostAddress, SocketAddress } from '../base/index.ts'

/** Everything that postrider.toml, the environment and the defaults say together. */
export interface Config extends GeneralConfig {
  readonly listeners: readonly ListenerConfig[]
  readonly routes: readonly RouteConfig[]
  /** null: Postrider makes a self-signed certificate in the data directory. */
  readonly tls: TlsConfig | null
  readonly http: HttpConfig
  readonly store: StoreConfig
  readonly dns: DnsConfig
  readonly delivery: DeliveryConfig
  readonly retry: RetryConfig
  readonly retention: RetentionConfig
  readonly lab: LabConfig
  readonly limits: LimitsConfig
  /** null: no second signature. */
  readonly dkim: OperatorDkimConfig | null
  readonly log: LogConfig
}

export interface GeneralConfig {
  /** Our name in the greeting, in EHLO and in Received. */
  readonly hostname: string
  /** Absolute path. */
  readonly dataDir: string
  /** null: stay who we are. */
  readonly user: string | null
  /** 0: one a core less one, at least one. */
  readonly relayThreads: number
}

export type ListenerKind = 'submission' | 'submissions' | 'relay' | 'mx'

export interface ListenerConfig {
  readonly address: SocketAddress
  readonly kind: ListenerKind
  /** Networks whose PROXY header is believed (and demanded); empty: no PROXY protocol. */
  readonly proxyProtocol: readonly string[]
  readonly networks: readonly string[]
  readonly account: string
  readonly senders: 'own' | 'any'
  readonly bareLf: 'refuse' | 'mend'
  readonly longLines: 'refuse' | 'encode'
  readonly showsClientAddress: boolean
}

export interface RouteConfig {
  /** `*`, a lower-case A-label, or one behind a dot: its sub-domains. */
  readonly recipientDomain: string
  readonly smarthost: SmarthostAddress
  readonly tls: 'opportunistic' | 'required' | 'verified'
  /** Both or neither. */
  readonly username: string | null
  readonly password: string | null
}

/** Paths are absolute, of PEM files. */
export interface TlsConfig {
  readonly certificatePath: string
  readonly keyPath: string
  readonly caPath: string | null
  readonly ciphers: 'modern' | 'compatible'
}

export interface HttpConfig {
  /** null: no HTTP door. */
  readonly address: SocketAddress | null
}

export interface StoreConfig {
  /** `sqlite:` (in the data directory) or `postgres://…`. */
  readonly url: string
}

export interface DnsConfig {
  /** Empty: those of /etc/resolv.conf. */
  readonly servers: readonly SocketAddress[]
  readonly trustAnchor: readonly string[]
}

export interface DeliveryConfig {
  readonly port: number
  /** Source addresses; empty: the system chooses. */
  readonly bind: readonly string[]
  readonly allowPrivate: readonly string[]
  readonly connectionsPerSite: number
  readonly connectionsTotal: number
  readonly messagesPerConnection: number
  readonly recipientsPerTransaction: number
  readonly idleConnectionMs: number
  readonly tlsFallbackAfterMs: number
  readonly tlsMemoryMs: number
  readonly connectTimeoutMs: number
  readonly greetingTimeoutMs: number
  readonly commandTimeoutMs: number
  readonly dataTimeoutMs: number
  readonly endOfDataTimeoutMs: number
}

export interface RetryConfig {
  /** At least one; the last repeats. */
  readonly scheduleMs: readonly number[]
  readonly expireMs: number
}

export interface RetentionConfig {
  readonly eventsMs: number
}

export interface LabConfig {
  readonly isEnabled: boolean
  readonly dnsPort: number
  readonly mxPort: number
}

export interface LimitsConfig {
  readonly messageSizeBytes: number
  readonly headerSizeBytes: number
  readonly headerFields: number
  readonly receivedHops: number
  readonly recipients: number
  readonly errors: number
  readonly junkCommands: number
  readonly authFailures: number
  readonly idleMs: number
  readonly dataIdleMs: number
  readonly sessionMs: number
  readonly handshakeMs: number
  readonly unreadRepliesMs: number
  /** Bytes a second. */
  readonly dataRateMin: number
  readonly sessions: number
  readonly strangerMs: number
  readonly connectionsPerAddress: number
  /** New connections a minute. */
  readonly connectionRatePerAddress: number
  readonly readyQueueRecipients: number
  readonly readyQueueSizeBytes: number
  readonly inlineContentSizeBytes: number
  readonly segmentSizeBytes: number
  readonly replyLines: number
  readonly replySizeBytes: number
  readonly drainMs: number
}

export interface OperatorDkimConfig {
  readonly domain: string
  readonly selector: string
  /** Absolute path of a PEM file. */
  readonly keyPath: string
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error'
}
