// TLS towards a peer: what we ask of Node and what we note about the result.
//
// Node is told not to refuse: we judge after the handshake, so that the facts are there in failure too. A resumed session
// skips Node's name check, so the check is made here again whenever verification is asked for.

import { isIP } from 'node:net'
import { type ConnectionOptions, checkServerIdentity, type TLSSocket } from 'node:tls'
import type { ClientTlsOptions } from './options.ts'

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

/** Options for `tls.connect`; the socket is added by the wire. */
export function tlsConnectionOptions(options: ClientTlsOptions): ConnectionOptions {
  const { servername, ca, session, minVersion } = options
  return {
    host: servername,
    // RFC 6066 §3: an address is not a server name.
    ...(isIP(servername) === 0 ? { servername } : {}),
    rejectUnauthorized: false,
    minVersion: minVersion ?? 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: Array.isArray(ca) ? [...ca] : (ca as string | Buffer) }),
    ...(session === undefined ? {} : { session }),
  }
}

/** Reads the facts after the handshake. */
export function tlsFacts(socket: TLSSocket, servername: string): TlsFacts {
  const isResumed = socket.isSessionReused()
  let authorizationError = socket.authorized ? null : authorizationErrorText(socket)
  if (authorizationError === null && isResumed) {
    const certificate = socket.getPeerCertificate()
    const isShown = Object.keys(certificate).length > 0
    const nameError = isShown ? checkServerIdentity(servername, certificate) : new Error('no certificate')
    authorizationError = nameError === undefined ? null : nameError.message
  }
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    isAuthorized: authorizationError === null,
    authorizationError,
    certificateFingerprint: socket.getPeerX509Certificate()?.fingerprint256 ?? null,
    isResumed,
  }
}

function authorizationErrorText(socket: TLSSocket): string {
  // Node types it as Error; it is a code string or an Error, depending on which check failed.
  const error: unknown = socket.authorizationError
  if (error instanceof Error) return error.message
  return typeof error === 'string' ? error : 'the certificate is not valid'
}
