// The border between the SMTP server engine and its meaning.
//
// The engine (session.ts) owns grammar, phases, limits, TLS and the wire; the handler decides.
// Each answer is a reply value; a handler method may answer at once or later (the hot path answers at once).
// Order of calls: open, authenticate*, (mail, rcpt*, content, sink.write*, sink.end|sink.abort, reset)*, closed. A
// transaction that is given up goes to reset at once; a connection that is lost goes to closed without reset.

import type { SmtpPath } from '../grammar/path.ts'
import type { SmtpReply } from '../reply.ts'

export type { SmtpPath } from '../grammar/path.ts'

/** A value now or later. */
export type MaybePromise<T> = T | Promise<T>

/** Parameters of MAIL FROM that a handler may need (RFC 1870, 6152, 3461, 6531). */
export interface MailParameters {
  readonly sizeBytes?: number
  readonly body: '7bit' | '8bitmime'
  readonly isSmtpUtf8: boolean
  readonly ret?: 'FULL' | 'HDRS'
  /** Decoded from xtext, at most 100 characters. */
  readonly envelopeId?: string
}

/** Parameters of RCPT TO (RFC 3461 §4.1, §4.2). */
export interface RcptParameters {
  /** Undefined when not given; an empty list means NEVER. */
  readonly notify?: readonly ('SUCCESS' | 'FAILURE' | 'DELAY')[]
  /** As given after decoding xtext: address type and address. */
  readonly originalRecipient?: { readonly type: string; readonly address: string }
}

/** What the session is, for the handler to read at any time. */
export interface SmtpSessionFacts {
  /** Address and port of the client: from the PROXY header when that was accepted. */
  readonly clientAddress: string
  readonly clientPort: number
  /** Name from HELO or EHLO, '' before it and after STARTTLS. */
  readonly helloName: string
  /** True after EHLO, false after HELO. */
  readonly isExtended: boolean
  /** Set when TLS is on. */
  readonly tls: { readonly protocol: string; readonly cipher: string } | null
  /** The name that authenticated, null before AUTH. */
  readonly authenticatedAs: string | null
}

/** What the engine learnt about a content while it read it. */
export interface ContentFacts {
  /** Bytes handed to the sink (after unstuffing and mending). */
  readonly sizeBytes: number
  /** True when any byte is above 127. */
  readonly hasEightBit: boolean
  /** Longest line without its CRLF. */
  readonly longestLineBytes: number
  /** False: no line begins with a dot, so nothing need be stuffed on the way out. */
  readonly hasDotLine: boolean
}

/** Takes one content. The engine never calls `write` again before the promise of the last call is settled. */
export interface ContentSink {
  /** `chunk` may be kept: the engine never reuses its memory. Lines end in CRLF only. */
  write(chunk: Buffer): MaybePromise<void>
  /** The true end was seen and the content was well formed: the reply to the client. */
  end(facts: ContentFacts): MaybePromise<SmtpReply>
  /** No reply will be asked for: connection lost, content refused by the engine, or shutdown. */
  abort(): void
}

/** A handler's go-ahead to a content. */
export interface ContentAcceptance {
  readonly sink: ContentSink
  /**
   * What to do with a bare LF: `refuse` (550 5.6.0 after the end) or `mend` (make it CRLF). A
   * bare CR or NUL is always refused.
   */
  readonly bareLf: 'refuse' | 'mend'
}

/** SASL credentials as decoded by the engine (PLAIN, LOGIN). */
export interface SaslCredentials {
  readonly mechanism: 'PLAIN' | 'LOGIN'
  /** '' when the client gave none. */
  readonly authorizationId: string
  readonly username: string
  readonly password: string
}

/** What of a message the engine itself refuses: grammar and size of MAIL and RCPT, the bytes of a content. */
export type RefusedPart = 'mail' | 'rcpt' | 'content'

/** The meaning of a session. */
export interface SmtpSessionHandler {
  /**
   * Called once, as soon as the client's address is known: before the greeting, and before a handshake with which the
   * connection begins. A reply refuses the connection (4xx or 5xx, then close; before a handshake it is closed without a
   * word), null lets the client in.
   */
  open(session: SmtpSessionFacts): MaybePromise<SmtpReply | null>
  /** A 235 reply turns `authenticatedAs` on; anything else is sent as it is. */
  authenticate(credentials: SaslCredentials): MaybePromise<SmtpReply>
  mail(reversePath: SmtpPath, parameters: MailParameters): MaybePromise<SmtpReply>
  rcpt(forwardPath: SmtpPath, parameters: RcptParameters): MaybePromise<SmtpReply>
  /** At least one recipient was accepted. A reply refuses the content. */
  content(): MaybePromise<ContentAcceptance | SmtpReply>
  /** The engine refused by itself, and says so with `reply`; `text` is the argument of MAIL or RCPT as given. */
  refused?(part: RefusedPart, reply: SmtpReply, text: string): void
  /** The transaction is over or was given up (RSET, EHLO, STARTTLS, end of content). */
  reset(): void
  /** The connection is gone; called exactly once. */
  closed(): void
}
