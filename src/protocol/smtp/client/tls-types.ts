// What is known about TLS on a connection, and what is kept of it for the next one.
//
// The facts go into every outcome and later into TLS-RPT counts. A resumable session is only as good as the connection it
// came from: it carries that verdict along, since a resumed connection shows no certificate to judge anew.

/** What TLS turned out to be. */
export interface TlsFacts {
  readonly protocol: string
  readonly cipher: string
  /** True when the certificate chain and the name are valid. */
  readonly isAuthorized: boolean
  /** Why not; null when authorized. */
  readonly authorizationError: string | null
  /** SHA-256 of the peer's certificate, upper-case hex with colons; null when it showed none. */
  readonly certificateFingerprint: string | null
  readonly isResumed: boolean
}

/** A session ticket and what was known of the peer when its certificate was seen. Opaque to callers. */
export interface ResumableSession {
  readonly ticket: Buffer
  readonly servername: string
  readonly isAuthorized: boolean
  readonly certificateFingerprint: string | null
}
