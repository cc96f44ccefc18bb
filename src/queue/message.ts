// What the queue holds: a message (content + envelope) and its recipients, the unit of work.
//
// NewMessage goes in once (accept); LeasedMessage comes out as often as attempts are needed. Keys are the store's own
// row numbers: short, local to one store, never shown outside (ids are).

/** What may be asked of NOTIFY (RFC 3461 §4.1) as bits; `notSaid` when the client gave none. */
export const notifyBits = { never: 0, success: 1, failure: 2, delay: 4, notSaid: 8 } as const

/** A stretch of a segment file. */
export interface Extent {
  readonly segment: number
  readonly offsetBytes: number
  readonly sizeBytes: number
}

/**
 * Where the bytes of a content are. Small ones travel inline into the store's content table;
 * large ones are already in segments.
 */
export type NewContent =
  | { readonly kind: 'inline'; readonly parts: readonly Buffer[]; readonly sizeBytes: number }
  | { readonly kind: 'segments'; readonly extents: readonly Extent[]; readonly sizeBytes: number }

/** How a recipient starts. `leased`: this thread takes it into its ready queue at once. */
export type StartState = 'leased' | 'scheduled' | 'held'

export interface NewRecipient {
  /** From 0, in the order of RCPT. The recipient's id is `<message id>.<number>`. */
  readonly number: number
  /** Local part as given, domain a lower-case A-label, no brackets. */
  readonly forwardPath: string
  /** The domain of the forward-path, or an address literal in brackets. */
  readonly domain: string
  /** See {@link notifyBits}. */
  readonly notify: number
  /** ORCPT as `type;address` (decoded), '' when not given. */
  readonly originalRecipient: string
}

/** The envelope facts that every attempt needs. */
export interface MessageEnvelope {
  /** 16 bytes. */
  readonly id: Buffer
  readonly accountKey: number
  readonly streamKey: number
  /** As submitted; '' is the null reverse-path. */
  readonly reversePath: string
  /**
   * As sent on the wire (differs from `reversePath` once VERP comes); recipients with different
   * ones never share a transaction.
   */
  readonly sentReversePath: string
  readonly isEightBit: boolean
  readonly isSmtpUtf8: boolean
  /**
   * Intake saw that the content's lines end in CRLF, that it has no NUL, and that no line begins with a dot: it is sent
   * without another look. Absent: unknown.
   */
  readonly isPlain?: boolean
  /** Its signature could not be made: each attempt makes it, and sends nothing without it. Absent: nothing is missing. */
  readonly isUnsigned?: boolean
  /** RET (RFC 3461 §4.3); '' when not given. */
  readonly ret: '' | 'FULL' | 'HDRS'
  /** ENVID decoded, '' when not given. */
  readonly envelopeId: string
  /** Milliseconds since 1970. */
  readonly acceptedAtMs: number
  /** When the message expires. */
  readonly expiresAtMs: number
  /** Lane: 0 is the most urgent, 9 the least; 5 by default. */
  readonly priority: number
  /** Whether final failures make a DSN mail (the stream's choice at the time of acceptance). */
  readonly sendsDsn: boolean
  /** Trace and signature, sent before the content. */
  readonly prefix: Buffer
  /** Size of prefix + content. */
  readonly sizeBytes: number
}

export interface NewMessage extends MessageEnvelope {
  readonly content: NewContent
  readonly recipients: readonly NewRecipient[]
  readonly startState: StartState
  /** Why it waits, when `startState` is `scheduled`. Default `first-attempt`. */
  readonly startReason?: WaitReason
  /** When `startState` is `scheduled`: due at this time. */
  readonly firstAttemptAtMs: number
  /** Packed AcceptedFacts, written as the `accepted` event in the same commit. */
  readonly acceptedFacts: Buffer
}

/** Where to read a content again. */
export type StoredContent =
  | { readonly kind: 'inline'; readonly sizeBytes: number }
  | { readonly kind: 'segments'; readonly extents: readonly Extent[]; readonly sizeBytes: number }

export interface LeasedRecipient extends NewRecipient {
  /** Attempts made so far. */
  readonly attempts: number
  /** Smarthost `host:port` set by `queue reroute`, '' for the ordinary route. */
  readonly route: string
  /** A delay notice (RFC 3461 NOTIFY=DELAY) has been sent. */
  readonly isDelayNotified: boolean
  /** The end of data of an earlier attempt was sent and its reply never read (crash mark). */
  readonly isUncertain: boolean
}

/** A message with those of its recipients that are now leased to one thread. */
export interface LeasedMessage extends Omit<MessageEnvelope, 'prefix'> {
  /** In memory while the content is, too (just accepted); null: read it from the store, it is most of what would wait. */
  readonly prefix: Buffer | null
  /** The store's key of the message. */
  readonly key: number
  readonly content: StoredContent
  readonly recipients: readonly LeasedRecipient[]
  /** How many recipients the message had in all: 1 lets the store skip a count. */
  readonly recipientCount: number
}

/** One whose prefix is in memory. */
export type PrefixedMessage = LeasedMessage & { readonly prefix: Buffer }

/** States of a recipient row. Final recipients have no row: their end is in the event log. */
export type RecipientState = 'scheduled' | 'leased' | 'held'

/** Why a recipient waits: a closed set, printed by CLI, API and dashboard. */
export type WaitReason =
  /** Not tried yet. */
  | 'first-attempt'
  /** Deferred. */
  | 'next-attempt'
  /** Leased: in the ready queue or in an attempt. Shown, never stored. */
  | 'ready'
  /** Deferred, since no host took a connection from us; or put off, since one does not answer. */
  | 'site-unreachable'
  | 'held-by-operator'
  | 'held-by-restore'
  | 'released'
  | 'retry-requested'
  /** Accepted while the ready queue had no room; not tried yet. */
  | 'ready-queue-full'
  /** It has to be signed and could not be. */
  | 'unsigned'
