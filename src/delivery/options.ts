// Settings of delivery in one thread, each with its unit, default and reason. The composition
// fills them from the configuration.
//
// Limits on connections hold for one relay thread: who runs several threads divides them.

import type { SecureContext } from 'node:tls'
import type { ClientLimits, ClientTimeouts } from '../protocol/smtp/client/index.ts'
import type { RetrySchedule } from '../queue/ready/index.ts'

/** Where connections leave from and how we greet: one egress source. */
export interface EgressSource {
  /** Part of pool keys. */
  readonly name: string
  /** Our name in EHLO: should resolve to the address the peer sees. */
  readonly ehloName: string
  /** Source address of IPv4 connections; '' lets the system choose. */
  readonly ipv4: string
  /** Source address of IPv6 connections; '' lets the system choose. */
  readonly ipv6: string
}

/** What `DeliveryEngine` may do and how much of it. */
export interface DeliveryOptions {
  readonly source: EgressSource
  /** Port of MX hosts. */
  readonly mxPort: number
  /** Intervals between attempts. */
  readonly retry: RetrySchedule
  /** Connections open at once towards one site. Default 20: what large receivers take from a known address. */
  readonly connectionsPerSite: number
  /** Connections open at once towards one address and port. Default 20. */
  readonly connectionsPerHost: number
  /** Connections open at once in all. Default 1,000: bounds sockets and memory. */
  readonly connectionsTotal: number
  /** Messages sent over one connection before it is replaced. Default 500; a peer's MAILMAX (RFC 9422) may be lower. */
  readonly messagesPerConnection: number
  /** Recipients of one transaction. Default 100 (RFC 5321 §4.5.3.1.8); a peer's RCPTMAX may be lower. */
  readonly recipientsPerTransaction: number
  /**
   * How long a connection without work is kept, milliseconds. Default 5,000: a site that gets a message every few seconds
   * keeps its connection and TLS session; peers, which count idle connections against us, see them gone soon.
   */
  readonly idleConnectionMs: number
  /** A further connection is opened per so many waiting batches. Default 8: three messages need no second connection. */
  readonly backlogPerConnection: number
  /**
   * Transactions handed to one connection at once when work waits. Default 3: a peer with PIPELINING then costs
   * one write and one read a message.
   */
  readonly transactionsPerConnection: number
  /** Age of a message, milliseconds, from which it may go in clear text where STARTTLS fails. Default one hour. */
  readonly tlsFallbackAfterMs: number
  /** A host where TLS worked within this time is never spoken to in clear text, milliseconds. Default 30 days. */
  readonly tlsMemoryMs: number
  /** The authorities that smarthosts with `verified` TLS are judged by; null (default): those of Node. */
  readonly trust: SecureContext | null
  /** TLS sessions kept for resumption. Default 1,000. */
  readonly tlsSessionsMax: number
  /** Addresses tried before an attempt counts as failed. Default 5: bounds the time of an attempt on a dead site. */
  readonly addressesPerAttempt: number
  /**
   * How long these may take together until a session is ready, milliseconds. Default 10 minutes: twice what one handshake
   * may take.
   */
  readonly openingMs: number
  /** Times a batch is sent again at once after a connection was lost before the end of data. Default 2. */
  readonly rerunsMax: number
  /** A host that failed is left alone this long, doubled with each failure, milliseconds. Default 5,000. */
  readonly hostBackoffMs: number
  /**
   * Upper bound of the above. Default 10 minutes; never above the shortest retry interval,
   * so that a due retry may probe.
   */
  readonly hostBackoffMsMax: number
  /** Recipients ready or in an attempt. Default 10,000. */
  readonly readyRecipientsMax: number
  /** Bytes of content held for them. Default 128 MiB. */
  readonly readyContentBytesMax: number
  /** Content above this is streamed from the store, not read whole. Default 1 MiB. */
  readonly wholeContentBytesMax: number
  /** Bytes of content read whole from the store for attempts; what does not fit is streamed, too. Default 64 MiB. */
  readonly readContentBytesMax: number
  /** A message that is so long past its expiry is expired without an attempt, milliseconds. Default one minute. */
  readonly expiryGraceMs: number
  /** A deferred message this old makes a delay notice (once a recipient), milliseconds; null (default): never. */
  readonly delayNoticeAfterMs: number | null
  /** Deadlines per stage; what is missing takes the client's default. */
  readonly timeouts: Partial<ClientTimeouts>
  /** Bounds of hostile peers; what is missing takes the client's default. */
  readonly limits: Partial<ClientLimits>
}

/** All defaults; source, port and schedule must be given. */
export const defaultDeliveryOptions: Omit<DeliveryOptions, 'source' | 'mxPort' | 'retry'> = {
  connectionsPerSite: 20,
  connectionsPerHost: 20,
  connectionsTotal: 1_000,
  messagesPerConnection: 500,
  recipientsPerTransaction: 100,
  idleConnectionMs: 5_000,
  backlogPerConnection: 8,
  transactionsPerConnection: 3,
  tlsFallbackAfterMs: 3_600_000,
  tlsMemoryMs: 30 * 86_400_000,
  trust: null,
  tlsSessionsMax: 1_000,
  addressesPerAttempt: 5,
  openingMs: 600_000,
  rerunsMax: 2,
  hostBackoffMs: 5_000,
  hostBackoffMsMax: 600_000,
  readyRecipientsMax: 10_000,
  readyContentBytesMax: 128 * 1024 * 1024,
  wholeContentBytesMax: 1024 * 1024,
  readContentBytesMax: 64 * 1024 * 1024,
  expiryGraceMs: 60_000,
  delayNoticeAfterMs: null,
  timeouts: {},
  limits: {},
}
