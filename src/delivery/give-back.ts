// Recipients that go back to the scheduled queue without an attempt, by default with the reason they waited for before.

import type { GiveBack, LeasedMessage, LeasedRecipient, WaitReason } from '../queue/index.ts'

/** One give-back for each recipient. */
export function giveBacksOf(
  message: LeasedMessage,
  recipients: readonly LeasedRecipient[],
  nextAttemptAtMs: number,
  reason?: WaitReason,
): GiveBack[] {
  return recipients.map(recipient => ({
    messageKey: message.key,
    recipientNumber: recipient.number,
    nextAttemptAtMs,
    reason: reason ?? (recipient.attempts === 0 ? 'first-attempt' : 'next-attempt'),
  }))
}
