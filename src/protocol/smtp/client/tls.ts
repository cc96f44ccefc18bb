// TLS towards a peer: what we ask of Node and what we note about the result.
//
// Node is told not to refuse: we judge after the handshake, so that the facts are there in failure too.
// Resumption: a resumed connection shows no certificate, and Node checks no name then. So a session ticket travels
// together with what was found when its certificate was seen, and is not used where that is not enough.

import { constants } from 'node:crypto'
import { isIP } from 'node:net'
import { type ConnectionOptions, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { ClientTlsOptions } from './options.ts'
import type { ResumableSession, TlsFacts } from './tls-types.ts'

/** The session that may be resumed under these options; null when there is none. */
export function usableSession({ session, servername, verify }: ClientTlsOptions): ResumableSession | null {
  if (session === undefined || session.servername !== servername) return null
  return verify && !session.isAuthorized ? null : session
}

const bounds = {
  minVersion: 'TLSv1.2',
  // A peer could keep us negotiating for ever (RFC 9325 §3.5).
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  // In finite-field Diffie-Hellman the peer chooses the numbers: with 10,000 bits one handshake held the event loop for a
  // second. Servers with TLS 1.2 that know no elliptic curves know RSA key exchange, which is as good for us here.
  ciphers: `${constants.defaultCipherList}:!DHE`,
} as const

/**
 * A context for many connections, with these trust anchors or the built-in ones. Without one Node makes a context for
 * each connection.
 */
export function makeClientContext(ca?: string | Buffer | (string | Buffer)[]): SecureContext {
  return createSecureContext({ ...bounds, ...(ca === undefined ? {} : { ca }) })
}

/** Options for `tls.connect`; the socket is added by the wire. */
export function tlsConnectionOptions(options: ClientTlsOptions): ConnectionOptions {
  const { servername, ca, minVersion, secureContext } = options
  const session = usableSession(options)
  return {
    host: servername,
    // RFC 6066 §3: an address is not a server name.
    ...(isIP(servername) === 0 ? { servername } : {}),
    rejectUnauthorized: false,
    ...bounds,
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(ca === undefined ? {} : { ca: Array.isArray(ca) ? [...ca] : (ca as string | Buffer) }),
    ...(secureContext === undefined ? {} : { secureContext }),
    ...(session === null ? {} : { session: session.ticket }),
  }
}

/** Reads the facts after the handshake; `resumed` is the session that was offered. */
export function tlsFacts(socket: TLSSocket, resumed: ResumableSession | null): TlsFacts {
  const isResumed = socket.isSessionReused()
  let authorizationError = socket.authorized ? null : authorizationErrorText(socket)
  if (isResumed && resumed?.isAuthorized !== true)
    authorizationError ??= 'the resumed session was not authorized'
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    isAuthorized: authorizationError === null,
    authorizationError,
    certificateFingerprint: isResumed
      ? (resumed?.certificateFingerprint ?? null)
      : (socket.getPeerX509Certificate()?.fingerprint256 ?? null),
    isResumed,
  }
}

function authorizationErrorText(socket: TLSSocket): string {
  // Node types it as Error; it is a code string or an Error, depending on which check failed.
  const error: unknown = socket.authorizationError
  if (error instanceof Error) return error.message
  return typeof error === 'string' ? error : 'the certificate is not valid'
}
