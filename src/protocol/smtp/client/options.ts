// What a caller says when it connects (the target, TLS, credentials, deadlines, bounds).
//
// Defaults of the deadlines are those of RFC 5321 §4.5.3.2 where it has an opinion; the greeting waits 60 s instead of
// 5 min, since a host that slow is better tried again later than kept in a slot.

import type { OnReadOpts, Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import type { Outbox } from './outbox.ts'
import type { ReplyLimits } from './reply-reader.ts'
import { defaultReplyLimits } from './reply-reader.ts'
import type { SmtpTicker } from './ticker.ts'
import type { ResumableSession } from './tls-types.ts'

/** How TLS is used towards the peer. */
export interface ClientTlsOptions {
  /**
   * `none`: never; `opportunistic`: STARTTLS when offered; `required`: STARTTLS or failure;
   * `implicit`: TLS from the first byte.
   */
  readonly mode: 'none' | 'opportunistic' | 'required' | 'implicit'
  /** Name for SNI and for the certificate check. */
  readonly servername: string
  /** True: a certificate that is not valid for `servername` is a failure. False: it is only noted in the facts. */
  readonly verify: boolean
  /** Trust anchors in PEM instead of the built-in ones. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
  /** From `makeClientContext`, instead of `ca` and `minVersion`: one of its own costs each connection time and memory. */
  readonly secureContext?: SecureContext
  /** A session to resume, from `onSession` of an earlier connection; passed over where it does not suffice. */
  readonly session?: ResumableSession
  /** Called with each session the peer hands out, also later than the handshake. */
  readonly onSession?: (session: ResumableSession) => void
  /** Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** Credentials for AUTH PLAIN or LOGIN. */
export interface ClientCredentials {
  readonly username: string
  readonly password: string
  /** True allows AUTH without TLS. Default false. */
  readonly isClearAllowed?: boolean
}

/** Deadlines in milliseconds. Each reply has its whole time: bytes that trickle in do not extend it. */
export interface ClientTimeouts {
  readonly connectMs: number
  readonly tlsMs: number
  readonly greetingMs: number
  readonly ehloMs: number
  readonly starttlsMs: number
  readonly authMs: number
  readonly mailMs: number
  /** For MAIL that left together with the end of the content before it, until the peer is taken to have lost it. */
  readonly groupedMailMs: number
  readonly rcptMs: number
  readonly dataMs: number
  /** Without any progress while content is being sent. */
  readonly blockMs: number
  /** From the last byte sent to the reply to the end of data. */
  readonly eomMs: number
  /** RSET and NOOP. */
  readonly resetMs: number
  readonly quitMs: number
  /** From dialling to a ready session. */
  readonly handshakeMs: number
  /** One transaction as a whole. */
  readonly transactionMs: number
  /** Age at which a session takes no new transaction; the running one may finish. */
  readonly sessionMs: number
}

/** Defaults of `ClientTimeouts`. */
export const defaultClientTimeouts: ClientTimeouts = {
  connectMs: 30_000,
  tlsMs: 30_000,
  greetingMs: 60_000,
  ehloMs: 60_000,
  starttlsMs: 60_000,
  authMs: 60_000,
  mailMs: 300_000,
  groupedMailMs: 15_000,
  rcptMs: 300_000,
  dataMs: 120_000,
  blockMs: 180_000,
  eomMs: 600_000,
  resetMs: 60_000,
  quitMs: 5_000,
  handshakeMs: 300_000,
  transactionMs: 3_600_000,
  sessionMs: 3_600_000,
}

/** Bounds of a session. */
export interface ClientLimits {
  readonly reply: ReplyLimits
  /** Content up to this goes out as one BDAT together with MAIL and RCPT, when the peer has CHUNKING and PIPELINING. */
  readonly singleFlightBytesMax: number
  /** Content above this is checked and sent in blocks of this size, each waiting for the one before. */
  readonly blockBytes: number
  /** Transactions that may wait in a session behind the running one. */
  readonly waitingTransactionsMax: number
  /** May the commands of a transaction leave with the end of the content before it? To a peer that loses them: false. */
  readonly groupsTransactions: boolean
}

/** Defaults of `ClientLimits`. */
export const defaultClientLimits: ClientLimits = {
  reply: defaultReplyLimits,
  singleFlightBytesMax: 65_536,
  blockBytes: 262_144,
  waitingTransactionsMax: 4,
  groupsTransactions: true,
}

/**
 * Makes the socket. `onread` should be handed to `net.connect`, so that reads need no allocation; a dialler that leaves it
 * out works too. It may refuse by throwing or by destroying the socket with an error.
 */
export type SmtpDial = (
  address: string,
  port: number,
  localAddress: string | undefined,
  onread: OnReadOpts,
) => Socket

/** Everything `connectSmtp` needs. */
export interface ConnectOptions {
  /** IP address of the peer; names are resolved before. */
  readonly address: string
  readonly port: number
  /** Source address; the system chooses by default. */
  readonly localAddress?: string
  /** Our name in EHLO. */
  readonly heloName: string
  /** A word that only our own server has in its greeting: who says it is ourselves, and the connection is of no use. */
  readonly ownGreetingId?: string
  readonly tls: ClientTlsOptions
  readonly auth?: ClientCredentials
  readonly timeouts?: Partial<ClientTimeouts>
  readonly limits?: Partial<ClientLimits>
  readonly ticker: SmtpTicker
  /** Gathers the writes of a turn; one should serve all connections of a thread. Default: one of its own. */
  readonly outbox?: Outbox
  /** Ends the connecting; the session that came out is not bound to it. */
  readonly signal?: AbortSignal
  /** Default `net.connect`. */
  readonly connect?: SmtpDial
  /** Memory for reads; one buffer may serve all connections of a thread. Default: 16 KiB of its own. */
  readonly readBuffer?: Buffer
}
