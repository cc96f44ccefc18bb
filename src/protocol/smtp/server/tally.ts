// Counts of a session: commands, errors, junk, and when they are too many.
//
// A syntax or sequence error always counts. Other refusals (an unknown recipient, a bad password) count only for
// clients we do not know: an application may rightly meet hundreds of refused recipients. A known client may have as many
// since its last accepted content as a message has recipients: each of them is an event in its account's log.

import type { SmtpReply } from '../reply.ts'
import type { SmtpServerLimits } from './options.ts'
import { tooManyErrors, tooMuchJunk } from './replies.ts'

/** The counters. */
export class Tally {
  commands = 0
  errors = 0
  accepted = 0
  #recentErrors = 0
  #recentJunk = 0
  #recentRefusals = 0

  /** A command came. */
  command(isJunk: boolean): void {
    this.commands++
    if (isJunk) this.#recentJunk++
  }

  /** An error reply goes out. */
  error(reply: SmtpReply, isKnownClient: boolean): void {
    this.errors++
    const isProtocolError = reply.code >= 500 && reply.enhanced.startsWith('5.5.')
    if (isProtocolError || !isKnownClient) this.#recentErrors++
    else if (reply.code >= 500) this.#recentRefusals++
  }

  /** A content was accepted: the client means well. */
  acceptedContent(): void {
    this.accepted++
    this.#recentErrors = 0
    this.#recentJunk = 0
    this.#recentRefusals = 0
  }

  /** The reply that ends the session when there was too much; null otherwise. */
  verdict(
    limits: SmtpServerLimits,
  ): { readonly reason: 'errors' | 'junk'; readonly reply: SmtpReply } | null {
    if (this.#recentErrors >= limits.errorsMax || this.#recentRefusals > limits.rcptMax)
      return { reason: 'errors', reply: tooManyErrors }
    if (this.#recentJunk > limits.junkCommandsMax) return { reason: 'junk', reply: tooMuchJunk }
    return null
  }
}
