// Which deadline of a session has passed: one pure function over times, asked about once a second.
//
// Command time counts from the last complete command, so that a client that sends a byte now and then gains
// nothing. Time in which the handler keeps us is not the client's; replies that it does not read have a time of their own.

import type { SmtpReply } from '../reply.ts'
import type { CloseReason } from './observer.ts'
import type { SmtpServerLimits } from './options.ts'
import { type Phase, phaseTable } from './phases.ts'
import { idleTooLong, sessionTooLong, tooSlow } from './replies.ts'

/** The times of a session, monotonic milliseconds. */
export interface SessionTimes {
  startedMs: number
  /** Last complete command, last bytes of content, or last change of phase. */
  activeMs: number
  /** When the handler was asked something that it has not answered; null when nothing is open. */
  waitingSinceMs: number | null
  /** Since when replies fill the connection because the client does not read them; null while it does. */
  unreadSinceMs: number | null
  /** Start of the current window of content, and what came in it. */
  windowStartMs: number
  windowBytes: number
}

/** What a passed deadline asks for: a last word (null: none), or a drain. */
export type Expiry =
  | { readonly kind: 'close'; readonly reason: CloseReason; readonly reply: SmtpReply | null }
  | { readonly kind: 'drain' }

const close = (reason: CloseReason, reply: SmtpReply | null): Expiry => ({ kind: 'close', reason, reply })
const drain: Expiry = { kind: 'drain' }

function phaseExpiry(
  phase: Phase,
  times: SessionTimes,
  limits: SmtpServerLimits,
  nowMs: number,
): Expiry | null {
  const idleMs = nowMs - times.activeMs
  switch (phaseTable[phase].deadline) {
    case 'proxy':
      return idleMs > limits.proxyHeaderMs ? close('proxy-header', null) : null
    case 'handshake':
      return idleMs > limits.handshakeMs ? close('tls-failed', null) : null
    case 'command':
      return idleMs > limits.commandIdleMs ? close('command-idle', idleTooLong) : null
    case 'content': {
      if (idleMs > limits.contentIdleMs) return close('content-idle', idleTooLong)
      const windowMs = nowMs - times.windowStartMs
      if (windowMs < limits.contentIdleMs) return null
      const isSlow = times.windowBytes * 1000 < limits.contentBytesPerSecondMin * windowMs
      times.windowStartMs = nowMs
      times.windowBytes = 0
      return isSlow ? close('content-slow', tooSlow) : null
    }
    case 'linger':
      return idleMs > limits.lingerMs ? close('client-gone', null) : null
    case 'none':
      return null
  }
}

/** The deadline that has passed, if any; starts a new window of content when one is full. */
export function findExpiry(
  phase: Phase,
  times: SessionTimes,
  limits: SmtpServerLimits,
  nowMs: number,
): Expiry | null {
  if (times.unreadSinceMs !== null && nowMs - times.unreadSinceMs > limits.unreadMs)
    return close('replies-unread', null)
  if (times.waitingSinceMs !== null)
    return nowMs - times.waitingSinceMs > limits.handlerMs ? close('handler-time', null) : null
  const ageMs = nowMs - times.startedMs
  const expiry = phaseExpiry(phase, times, limits, nowMs)
  if (expiry !== null || phaseTable[phase].deadline === 'linger') return expiry
  if (ageMs > 2 * limits.sessionMs) return close('session-time', sessionTooLong)
  return ageMs > limits.sessionMs ? drain : null
}
