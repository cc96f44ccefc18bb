// A report as a message for the queue: null reverse-path, one recipient, no report on itself.
//
// The composition adds trace and signature (`prefix`) and hands the function built on this to the engine.

import { packAccepted } from '../events/index.ts'
import { type NewMessage, notifyBits } from '../queue/index.ts'
import type { ReportDraft } from './report.ts'

export interface ReportMessageFacts {
  /** Received and DKIM-Signature fields before the content; empty for an unsigned report. */
  readonly prefix: Buffer
  /** `d=selector` of each signature in the prefix. */
  readonly signedBy: readonly string[]
  /** Life of a report, milliseconds. */
  readonly expireMs: number
  /** It should have been signed: each attempt tries, and does not send it without. */
  readonly isUnsigned?: boolean
}

/** The new message, due at once; to be committed with the outcomes that caused it. */
export function reportMessage(draft: ReportDraft, facts: ReportMessageFacts): NewMessage {
  const { cause, content, createdAtMs } = draft
  const forwardPath = cause.reversePath
  const sizeBytes = facts.prefix.length + content.length
  return {
    id: draft.id,
    accountKey: cause.accountKey,
    streamKey: cause.streamKey,
    reversePath: '',
    sentReversePath: '',
    isEightBit: draft.isEightBit,
    isSmtpUtf8: draft.isSmtpUtf8,
    ret: '',
    envelopeId: '',
    acceptedAtMs: createdAtMs,
    expiresAtMs: createdAtMs + facts.expireMs,
    priority: 5,
    sendsDsn: false,
    ...(facts.isUnsigned === true ? { isUnsigned: true, startReason: 'unsigned' } : {}),
    prefix: facts.prefix,
    sizeBytes,
    content: { kind: 'inline', parts: [content], sizeBytes: content.length },
    recipients: [
      {
        number: 0,
        forwardPath,
        domain: forwardPath.slice(forwardPath.lastIndexOf('@') + 1).toLowerCase(),
        notify: notifyBits.never,
        originalRecipient: '',
      },
    ],
    startState: 'scheduled',
    firstAttemptAtMs: createdAtMs,
    acceptedFacts: packAccepted({
      reversePath: '',
      forwardPaths: [forwardPath],
      sizeBytes,
      clientAddress: '',
      helloName: '',
      door: 'local',
      username: '',
      headerMessageId: messageIdOf(content),
      signedBy: facts.signedBy,
      tls: '',
    }),
  }
}

/** Our own content: the field is there and not folded. */
function messageIdOf(content: Buffer): string {
  const at = content.indexOf('Message-ID: ')
  return at < 0 ? '' : content.toString('latin1', at + 12, content.indexOf('\r\n', at))
}
