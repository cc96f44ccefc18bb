// A message just committed as leased, in the form in which a lease would give it: the hot path does not read it back.

import type { NewMessage, PrefixedMessage } from './message.ts'

/** @param key what the store answered */
export function leasedFrom(message: NewMessage, key: number): PrefixedMessage {
  const { content } = message
  return {
    ...message,
    key,
    content: content.kind === 'inline' ? { kind: 'inline', sizeBytes: content.sizeBytes } : content,
    recipients: message.recipients.map(recipient => ({
      ...recipient,
      attempts: 0,
      route: '',
      isDelayNotified: false,
      isUncertain: false,
    })),
    recipientCount: message.recipients.length,
  }
}
