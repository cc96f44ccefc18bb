// What a listener tells its sessions: name, TLS, AUTH and every limit, each with its unit and reason.
//
// One options value serves all sessions of a listener and never changes; a reload makes a new one.

import type { SecureContext } from 'node:tls'
import type { SmtpSessionFacts } from './handler.ts'

/** How TLS is offered. The context is asked for at each handshake, so that a reload needs no new listener. */
export type SmtpServerTls =
  | { readonly mode: 'none' }
  | {
      readonly mode: 'starttls' | 'implicit'
      /** Minimum TLS 1.2 is the maker's duty (`minVersion`). */
      readonly secureContext: () => SecureContext
    }

/** Bounds of a session. */
export interface SmtpServerLimits {
  /** Octets of a command line with its CRLF. 2048: RFC 5321 asks for 512, extensions add to it. */
  readonly commandLineBytes: number
  /** Octets of an AUTH line with its CRLF (RFC 4954 §4). */
  readonly authLineBytes: number
  /** Accepted recipients a transaction; the next gets 452 4.5.3. Announced as RCPTMAX. */
  readonly rcptMax: number
  /** MAIL commands accepted a session; the next gets 421 4.7.0. Announced as MAILMAX. */
  readonly mailsPerSession: number
  /** Errors since the last accepted content, then 421 4.7.0. */
  readonly errorsMax: number
  /** NOOP, RSET, EHLO and the like since the last accepted content, then 421 4.7.0. */
  readonly junkCommandsMax: number
  /** Between two commands, and for one command line (RFC 5321 §4.5.3.2.7: at least 5 minutes). */
  readonly commandIdleMs: number
  /** Between two blocks of content (RFC 5321 §4.5.3.2.5). */
  readonly contentIdleMs: number
  /** Least rate of content, measured over windows of `contentIdleMs`, in bytes a second. */
  readonly contentBytesPerSecondMin: number
  /** After this no new transaction; after twice this the session is cut. */
  readonly sessionMs: number
  /** For replies that fill the connection since the client does not read them. */
  readonly unreadMs: number
  /** For the PROXY header. */
  readonly proxyHeaderMs: number
  /** For a TLS handshake. */
  readonly handshakeMs: number
  /** Longest wait for the peer to close after our last reply. */
  readonly lingerMs: number
  /** Longest wait for the handler; then the session is cut. Guards against a handler that never answers. */
  readonly handlerMs: number
  /** Input held while the handler is busy; beyond it the socket is paused. */
  readonly inputBytesMax: number
}

/** Options of a listener's sessions. */
export interface SmtpServerOptions {
  /** Our name in greeting and EHLO. */
  readonly hostname: string
  /** A word behind it in the greeting, by which our own client knows whom it has reached; '' for none. */
  readonly greetingId: string
  readonly tls: SmtpServerTls
  /** AUTH PLAIN and LOGIN are offered, under TLS only. */
  readonly offersAuth: boolean
  /** MAIL needs AUTH (530 5.7.0), and with STARTTLS nearly everything needs TLS first. Trusted clients are exempt. */
  readonly requiresAuth: boolean
  /** A client that sends on without waiting for a reply it must wait for is cut off, unless trusted or authenticated. */
  readonly forbidsUnauthPipelining: boolean
  /** True for clients of networks that the operator names. Asked once, when the client's address is known. */
  readonly trustsClient: (facts: SmtpSessionFacts) => boolean
  /** `required`: every connection starts with a PROXY header (v1 or v2), else it is closed without a word. */
  readonly proxyProtocol: 'none' | 'required'
  /** Largest content in bytes, announced as SIZE. */
  readonly maxSizeBytes: number
  readonly limits: SmtpServerLimits
}

/** The limits that hold where nothing else is said. */
export const defaultSmtpServerLimits: SmtpServerLimits = {
  commandLineBytes: 2048,
  authLineBytes: 12_288,
  rcptMax: 1000,
  mailsPerSession: 10_000,
  errorsMax: 20,
  junkCommandsMax: 100,
  commandIdleMs: 5 * 60_000,
  contentIdleMs: 3 * 60_000,
  contentBytesPerSecondMin: 500,
  sessionMs: 30 * 60_000,
  unreadMs: 60_000,
  proxyHeaderMs: 5_000,
  handshakeMs: 30_000,
  lingerMs: 5_000,
  handlerMs: 10 * 60_000,
  inputBytesMax: 65_536,
}

/** Options with their defaults: no TLS, no AUTH, nobody trusted, 25 MiB. */
export function smtpServerOptions(
  given: Partial<Omit<SmtpServerOptions, 'limits'>> & {
    readonly hostname: string
    readonly limits?: Partial<SmtpServerLimits>
  },
): SmtpServerOptions {
  return {
    greetingId: '',
    tls: { mode: 'none' },
    offersAuth: false,
    requiresAuth: false,
    forbidsUnauthPipelining: true,
    trustsClient: () => false,
    proxyProtocol: 'none',
    maxSizeBytes: 25 * 1024 * 1024,
    ...given,
    limits: { ...defaultSmtpServerLimits, ...given.limits },
  }
}
