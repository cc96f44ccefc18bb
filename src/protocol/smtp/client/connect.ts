// From an address to a ready session: the entry of the client.
//
// Everything that can go wrong is a value that names its stage; the caller decides what follows: another host, later,
// or a new connection without TLS.

import type { ConnectResult } from './connect-result.ts'
import { Handshake } from './handshake.ts'
import { type ConnectOptions, defaultClientLimits, defaultClientTimeouts } from './options.ts'
import { SmtpClientSession } from './session.ts'

/** Connects and makes ready: dial, TLS, greeting, EHLO, STARTTLS, AUTH. Never rejects. */
export async function connectSmtp(options: ConnectOptions): Promise<ConnectResult> {
  const timeouts = { ...defaultClientTimeouts, ...options.timeouts }
  const limits = { ...defaultClientLimits, ...options.limits }
  const done = await new Handshake(options, timeouts, limits.reply).run()
  if ('stage' in done) return { ok: false, failure: done }
  return { ok: true, session: new SmtpClientSession(done.wire, done.facts, timeouts, limits) }
}
