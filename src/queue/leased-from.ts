// A message just committed as leased, in the form in which a lease would give it: the hot path does not read it back.

import type { NewMessage, PrefixedMessage } from './message.ts'

/** @param key what the store answered */
export function leasedFrom(message: NewMessage, key: number): PrefixedMessage {
  const { content } = message
  // Field by field: the event's facts would else stay in memory for as long as the message waits.
  return {
    id: message.id,
    key,
    accountKey: message.accountKey,
    streamKey: message.streamKey,
    reversePath: message.reversePath,
    sentReversePath: message.sentReversePath,
    isEightBit: message.isEightBit,
    isSmtpUtf8: message.isSmtpUtf8,
    isPlain: message.isPlain === true,
    isUnsigned: message.isUnsigned === true,
    ret: message.ret,
    envelopeId: message.envelopeId,
    acceptedAtMs: message.acceptedAtMs,
    expiresAtMs: message.expiresAtMs,
    priority: message.priority,
    sendsDsn: message.sendsDsn,
    prefix: message.prefix,
    sizeBytes: message.sizeBytes,
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
