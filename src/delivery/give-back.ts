// Recipients that go back to the scheduled queue without an attempt: due at once, with the reason they waited for before.

import type { GiveBack, LeasedMessage, LeasedRecipient } from '../queue/index.ts'

/** One give-back for each recipient. */
export function giveBacksOf(
  message: LeasedMessage,
  recipients: readonly LeasedRecipient[],
  nowMs: number,
): GiveBack[] {
  return recipients.map(recipient => ({
    messageKey: message.key,
    recipientNumber: recipient.number,
    nextAttemptAtMs: nowMs,
    reason: recipient.attempts === 0 ? 'first-attempt' : 'next-attempt',
  }))
}
