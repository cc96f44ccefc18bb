// The outcome: what one attempt (or one decision without an attempt) meant for one recipient.
//
// Created where the reply is read, and unchanged from there through store, event, webhook and DSN.

/** How it ended; `deferred` is the only one after which another attempt follows. */
export type OutcomeKind = 'delivered' | 'deferred' | 'bounced' | 'expired' | 'suppressed' | 'cancelled'

/** At which step of delivery. `queue` is a decision of ours without a peer (expiry, cancellation). */
export type OutcomeStage =
  | 'queue'
  | 'route'
  | 'resolve'
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'

/** Whom the outcome speaks of: decides what happens next (only `recipient` may ever feed suppression). */
export type OutcomeScope = 'recipient' | 'domain' | 'address' | 'content' | 'account' | 'configuration'

/** One classified result. Missing texts are '' so that no reader has to ask for null. */
export interface Outcome {
  readonly kind: OutcomeKind
  /** SMTP code of the reply, or the one we would have given; 0 when there is none. */
  readonly code: number
  /** Enhanced status code (RFC 3463) such as `5.1.1`; '' when the peer gave none. */
  readonly enhancedCode: string
  /** The peer's words in UTF-8 (invalid bytes as \xNN), or ours when the source is `local`. */
  readonly text: string
  /** Name of the host that answered, '' when none did. */
  readonly remoteHost: string
  /** `address:port` of it, '' when none did. */
  readonly remoteAddress: string
  readonly stage: OutcomeStage
  /** TLS of the connection such as `TLSv1.3 TLS_AES_256_GCM_SHA384`; '' for clear text or no connection. */
  readonly tls: string
  /** From the rule table of delivery/classify, for instance `unknown-recipient`. */
  readonly category: string
  readonly scope: OutcomeScope
  /** `reply`: a peer said it in the session; `report`: it came later by mail; `local`: we decided it. */
  readonly source: 'reply' | 'report' | 'local'
  /** Milliseconds since 1970. */
  readonly atMs: number
  /** The end of the content had been sent and no reply was read, in this attempt or before a crash. */
  readonly isUncertain: boolean
}

/** True when no attempt follows. */
export function isFinal(kind: OutcomeKind): boolean {
  return kind !== 'deferred'
}
