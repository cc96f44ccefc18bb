// Counts of a session: commands, errors, junk, and when they are too many.
//
// A syntax or sequence error always counts. Other refusals (an unknown recipient, a bad password) count only for
// clients we do not know: an application may rightly meet hundreds of refused recipients. A known client may have as many
// since its last accepted content as a message has recipients: each of them is an event in its account's log. What it
// pipelined behind a refused MAIL, RCPT or chunk is out of place only because of that: such a row counts as one refusal.

import type { SmtpReply } from '../reply.ts'
import type { SmtpServerLimits } from './options.ts'
import { mailFirst, noRecipients, tooManyErrors, tooMuchJunk } from './replies.ts'

/** The counters. */
export class Tally {
  commands = 0
  errors = 0
  accepted = 0
  #recentErrors = 0
  #recentJunk = 0
  #recentRefusals = 0
  /** Replies in a row that say no more than that something before was refused. */
  #followers = 0

  /** A command came. */
  command(isJunk: boolean): void {
    this.commands++
    if (isJunk) this.#recentJunk++
  }

  /** An error reply goes out. */
  error(reply: SmtpReply, isKnownClient: boolean): void {
    this.errors++
    if (isKnownClient && (reply === mailFirst || reply === noRecipients)) {
      if (this.#followers++ === 0) this.#recentRefusals++
      return
    }
    this.#followers = 0
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
    this.#followers = 0
  }

  /** The reply that ends the session when there was too much; null otherwise. */
  verdict(
    limits: SmtpServerLimits,
  ): { readonly reason: 'errors' | 'junk'; readonly reply: SmtpReply } | null {
    const areTooMany =
      this.#recentErrors >= limits.errorsMax ||
      this.#recentRefusals > limits.rcptMax ||
      // As many RCPT as a message may have, and DATA.
      this.#followers > limits.rcptMax + 1
    if (areTooMany) return { reason: 'errors', reply: tooManyErrors }
    if (this.#recentJunk > limits.junkCommandsMax) return { reason: 'junk', reply: tooMuchJunk }
    return null
  }
}
