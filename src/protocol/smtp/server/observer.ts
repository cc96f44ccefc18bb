// What a session tells about itself: counted facts at its end, and the few events worth a metric.
//
// Nothing here steers anything; a session without an observer does no work for it.

/** Why a session ended. */
export type CloseReason =
  | 'quit'
  | 'client-gone'
  | 'refused'
  | 'command-idle'
  | 'content-idle'
  | 'content-slow'
  | 'session-time'
  | 'replies-unread'
  | 'crowded'
  | 'handler-time'
  | 'errors'
  | 'junk'
  | 'mail-limit'
  | 'flood'
  | 'early-talker'
  | 'not-smtp'
  | 'pipelining'
  | 'starttls-injection'
  | 'tls-failed'
  | 'tls-churn'
  | 'proxy-header'
  | 'drain'
  | 'destroyed'

/** The facts of a finished session. */
export interface SmtpSessionSummary {
  readonly reason: CloseReason
  readonly clientAddress: string
  /** From start to close, to about a second. */
  readonly durationMs: number
  readonly commands: number
  /** 4xx and 5xx replies sent. */
  readonly errors: number
  /** Contents answered 2xx. */
  readonly accepted: number
}

/** Listens to a session. Methods must not throw. */
export interface SmtpSessionObserver {
  /** Each reply written, by code. */
  onReply?(code: number): void
  /** A handshake came to its end; `error` is OpenSSL's or Node's code, null on success. */
  onTlsHandshake?(error: string | null): void
  /** The handler threw or rejected; the client got 451 4.3.0. `during` is the command or `content`. */
  onFault?(fault: unknown, during: string): void
  onClose?(summary: SmtpSessionSummary): void
}
