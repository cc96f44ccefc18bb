// What a peer may make us do in TLS once the handshake is over: next to nothing.
//
// Both sides of SMTP hang this on their TLS sockets. A peer may ask for new keys (RFC 8446 §4.6.3), hand out session
// tickets or ask to negotiate again as often as it likes, in records of a few octets, without a word of SMTP: no
// deadline of ours and no count of commands sees any of it, and answers that it does not read pile up in OpenSSL. A
// session has use for a handful. OpenSSL tells of each: of new keys by the line that it would log.

import type { TLSSocket } from 'node:tls'

/** Real servers hand out up to eight tickets; keys are good for millions of records. */
const eventsMax = 64

const newKeys = 'SECRET_N '
/** `CLIENT_TRAFFIC_` or `SERVER_TRAFFIC_` stand before it; the first keys end in `_0`. */
const newKeysAt = 15

/** Calls `tooMuch` once when the peer has had enough: then the connection must be destroyed, not ended. */
export function boundTlsWork(socket: TLSSocket, tooMuch: () => void): void {
  let events = 0
  const count = (): void => {
    if (++events === eventsMax) tooMuch()
  }
  socket.on('keylog', line => {
    if (line.toString('latin1', newKeysAt, newKeysAt + newKeys.length) === newKeys) count()
  })
  // The end of a handshake, and of each that was refused after it.
  socket.on('secure', count)
  socket.on('session', count)
}
