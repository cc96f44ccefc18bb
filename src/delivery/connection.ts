// A kept connection: a client session with what delivery knows about it.
//
// Texts that every delivery over it needs (host, TLS, one line of facts) are made once here, not per message.

import type { ConnectFailure, ConnectOptions, SmtpClientSession } from '../protocol/smtp/client/index.ts'
import type { EgressPath } from './egress-path.ts'

/** What delivery uses of a session with a peer. */
export type PeerSession = Pick<
  SmtpClientSession,
  'facts' | 'end' | 'isUsable' | 'hasAnswered' | 'transact' | 'quit' | 'destroy' | 'onIdleEnd'
>

/** A session, or why there is none. */
export type SessionResult =
  | { readonly ok: true; readonly session: PeerSession }
  | { readonly ok: false; readonly failure: ConnectFailure }

/** Opens a session: `connectSmtp`, or a next hop of a simulation. Never rejects. */
export type SessionOpener = (options: ConnectOptions) => Promise<SessionResult>

/** Who uses a connection now: told when it is gone. */
export interface ConnectionOwner {
  /** The connection ended or was given to another owner. */
  lostConnection(connection: Connection): void
}

export interface ConnectionFacts {
  readonly session: PeerSession
  /** Pool key: source, address, TLS-policy result, MX or smarthost with its login. */
  readonly key: string
  /** `address:port`, also the key of host health. */
  readonly remoteAddress: string
  /** Name from the plan. */
  readonly host: string
  /** Operator of the site, '' when unknown. */
  readonly site: string
  readonly isSmarthost: boolean
  /** Messages it may carry. */
  readonly messagesMax: number
  /** The host failed when it was used last. */
  readonly isOnTrial: boolean
}

/** Below this a transaction that waits behind another loses less than what a write and a read of its own would cost. */
const fastMs = 20

/** One connection; owned by one next hop at a time. */
export class Connection {
  readonly session: PeerSession
  readonly key: string
  readonly remoteAddress: string
  readonly host: string
  readonly site: string
  readonly isSmarthost: boolean
  readonly messagesMax: number
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or ''. */
  readonly tls: string
  /** First line of every conversation over it. */
  readonly line: string
  /** Where its slot is counted. */
  path: EgressPath
  owner: ConnectionOwner | null = null
  /** Batches in it now. */
  load = 0
  /** Transactions handed to it so far. */
  messages = 0
  /** Transactions that ran to a reply of the peer. */
  answered = 0
  /** Its host failed before it answered anything here: no further work, and no second failure counted for it. */
  isBlamed = false
  /** Its host failed when it was used last: until it has answered, no content leaves that it might have and not answer. */
  readonly isOnTrial: boolean
  idleSinceMs: number
  /** How long a transaction takes here, smoothed, milliseconds. */
  #paceMs = Number.POSITIVE_INFINITY

  constructor(facts: ConnectionFacts, path: EgressPath, nowMs: number) {
    const { session } = facts
    this.session = session
    this.key = facts.key
    this.remoteAddress = facts.remoteAddress
    this.host = facts.host
    this.site = facts.site
    this.isSmarthost = facts.isSmarthost
    this.messagesMax = facts.messagesMax
    this.isOnTrial = facts.isOnTrial
    this.path = path
    this.idleSinceMs = nowMs
    const tls = session.facts.tls
    this.tls = tls === null ? '' : `${tls.protocol} ${tls.cipher}`
    this.line = `${facts.host} ${facts.remoteAddress} ${this.tls === '' ? 'clear text' : this.tls}`
  }

  /** A transaction ran to a reply of the peer in this time. */
  tookMs(durationMs: number): void {
    this.#paceMs =
      this.#paceMs === Number.POSITIVE_INFINITY ? durationMs : this.#paceMs * 0.9 + durationMs * 0.1
  }

  /** Waiting behind another transaction here costs next to nothing. */
  get isFast(): boolean {
    return this.#paceMs < fastMs
  }

  /** May it take another batch? */
  get isOpen(): boolean {
    return this.messages < this.messagesMax && !this.isBlamed && this.session.isUsable
  }
}
