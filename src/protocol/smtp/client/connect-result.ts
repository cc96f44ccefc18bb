// What came of connecting: a session, or the stage and the reason of the failure.
//
// A failure here belongs to the host, not to a recipient: the caller tries the next one.

import type { SmtpReply } from '../reply.ts'
import type { SmtpClientSession } from './session.ts'
import type { TlsFacts } from './tls-types.ts'
import type { ConnectionEnd } from './wire.ts'

/** Where connecting failed. */
export type ConnectStage = 'connect' | 'tls' | 'greeting' | 'ehlo' | 'starttls' | 'auth'

/** Why there is no session. */
export interface ConnectFailure {
  readonly stage: ConnectStage
  /** `reply`: the peer's word. `policy`: what we asked for cannot be had. Else see `ConnectionEnd`. */
  readonly kind: 'reply' | 'policy' | ConnectionEnd['kind']
  /** Stable word: the reply code, `ECONNREFUSED`, `TIMEOUT_EHLO`, `STARTTLS_NOT_OFFERED`, `TLS_INJECTION` and so on. */
  readonly code: string
  /** A sentence for the operator. */
  readonly message: string
  /** The reply that decided, when there was one. */
  readonly reply: SmtpReply | null
  /** Set once TLS was on. */
  readonly tls: TlsFacts | null
}

/** A session or the reason why not. */
export type ConnectResult =
  | { readonly ok: true; readonly session: SmtpClientSession }
  | { readonly ok: false; readonly failure: ConnectFailure }
