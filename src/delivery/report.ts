// DSN mail for what became of a message (RFC 3461, RFC 3464): when there is one, and what is in it.
//
// Place on the path: outcome ▶ REPORT ▶ committed together with the outcome. Rules:
// - never for the null reverse-path, so that no report is ever answered by a report;
// - NOTIFY=NEVER always silences;
// - whether mail is made at all is the stream's choice (`event+dsn`), taken over at acceptance as `sendsDsn`. NOTIFY of
//   an authenticated client chooses among SUCCESS, FAILURE and DELAY inside that choice, it does not override it:
//   who wants events only is not surprised by mail because some client library asks for it;
// - without NOTIFY: failures, and delays where delay notices are on;
// - success is reported only as `relayed`, to who asked, when the next hop cannot promise a report itself;
// - a report has a mebibyte at most, and names every recipient: of very many there are several reports.

import type { Outcome } from '../events/index.ts'
import { buildDsn, type DsnAction, type DsnRecipient, dsnPortions } from '../protocol/mail/index.ts'
import { type LeasedMessage, type LeasedRecipient, type NewMessage, notifyBits } from '../queue/index.ts'
import { type ContentReader, contentHead, withPrefix } from './content.ts'

/** A finished report on its way to become a message of ours. */
export interface ReportDraft {
  /** The message that is reported on; account and stream of the report are its. */
  readonly cause: LeasedMessage
  /** 16 bytes: the id of the new message, already used in its Message-ID. */
  readonly id: Buffer
  /** Header and body. */
  readonly content: Buffer
  readonly isEightBit: boolean
  readonly isSmtpUtf8: boolean
  readonly createdAtMs: number
}

/**
 * Makes the message (trace, signature, accepted event) of a draft; signed at its attempt
 * when not now. See `reportMessage`.
 */
export type ReportFactory = (draft: ReportDraft) => Promise<NewMessage>

/** Who reports. */
export interface ReportIdentity {
  /** Host name in Reporting-MTA. */
  readonly host: string
  /** Address in From, such as `mailer-daemon@` the host. */
  readonly from: string
  /** Sixteen fresh bytes for an id, and their text form. */
  nextId(): { readonly bytes: Buffer; readonly text: string }
}

export interface ReportEntry {
  readonly recipient: LeasedRecipient
  readonly outcome: Outcome
  readonly action: DsnAction
}

/** Bytes of the original that are looked at: its header, and its body, for failures with RET=FULL, when it fits. */
const originalBytesMax = 256 * 1024
const noBytes: Buffer = Buffer.alloc(0)

/** What a report on this outcome says; null: there is none. */
export function reportAction(
  message: LeasedMessage,
  recipient: LeasedRecipient,
  outcome: Outcome,
  situation: { readonly peerHasDsn: boolean; readonly delayNoticeAfterMs: number | null },
): DsnAction | null {
  const { notify } = recipient
  if (!message.sendsDsn || message.reversePath === '' || notify === notifyBits.never) return null
  const isAsked = (bit: number) => notify === notifyBits.notSaid || (notify & bit) !== 0
  switch (outcome.kind) {
    case 'bounced':
    case 'expired':
      return isAsked(notifyBits.failure) ? 'failed' : null
    case 'delivered': {
      const wantsSuccess = notify !== notifyBits.notSaid && (notify & notifyBits.success) !== 0
      return wantsSuccess && !situation.peerHasDsn ? 'relayed' : null
    }
    case 'deferred': {
      const afterMs = situation.delayNoticeAfterMs
      const isLate = afterMs !== null && outcome.atMs - message.acceptedAtMs >= afterMs
      return isLate && !recipient.isDelayNotified && isAsked(notifyBits.delay) ? 'delayed' : null
    }
    default:
      return null
  }
}

/** What a report is made with. */
export interface ReportPorts {
  readonly content: ContentReader
  readonly identity: ReportIdentity
  readonly make: ReportFactory
  /** Reports wait for the disk: further ones go out without the original, which would fill the memory. */
  readonly isCrowded?: (() => boolean) | undefined
}

/**
 * Builds the reports on some recipients of one message: one, unless they are more than one can name. When the original
 * cannot be read now, they go out without it: the outcome does not wait, and a sender who is told little is better off
 * than one who is told nothing.
 * @param onFault told why the original cannot be read, and why there is no report
 */
export async function makeReports(
  message: LeasedMessage,
  content: readonly Buffer[] | null,
  entries: readonly ReportEntry[],
  ports: ReportPorts,
  onFault: (error: unknown) => void,
): Promise<NewMessage[]> {
  let original: Buffer | null = null
  let prefix = noBytes
  try {
    prefix = withPrefix(message, ports.content)?.prefix ?? noBytes
    if (ports.isCrowded?.() !== true)
      original = await contentHead(message, content, ports.content, originalBytesMax)
  } catch (error) {
    onFault(error)
  }
  const { header, body } = splitContent(original ?? Buffer.alloc(0))
  const isWhole = original !== null && message.content.sizeBytes <= originalBytesMax
  const createdAtMs = entries[0]!.outcome.atMs
  const reports: NewMessage[] = []
  for (const recipients of dsnPortions(entries.map(entry => dsnRecipient(message, entry)))) {
    // One report takes milliseconds to build: others have a turn before the next.
    if (reports.length > 0) await new Promise(resolve => setImmediate(resolve))
    const id = ports.identity.nextId()
    const built = buildDsn({
      reportingHost: ports.identity.host,
      from: ports.identity.from,
      reversePath: message.reversePath,
      unique: id.text,
      createdAtMs,
      arrivedAtMs: message.acceptedAtMs,
      envelopeId: message.envelopeId,
      recipients,
      ret: message.ret,
      originalHeader: Buffer.concat([prefix, header]),
      ...(isWhole ? { originalBody: body } : {}),
    })
    if (built.kind === 'none') {
      onFault(new Error(`no report can be made: ${built.why}`))
      return []
    }
    const { content: dsn, isEightBit, isSmtpUtf8 } = built
    reports.push(
      await ports.make({ cause: message, id: id.bytes, content: dsn, isEightBit, isSmtpUtf8, createdAtMs }),
    )
  }
  return reports
}

function dsnRecipient(message: LeasedMessage, { recipient, outcome, action }: ReportEntry): DsnRecipient {
  const isReply = outcome.source === 'reply'
  const reply = [String(outcome.code), outcome.enhancedCode, outcome.text].filter(Boolean).join(' ')
  const isExpired = outcome.kind === 'expired'
  const expiry = outcome.isUncertain
    ? 'No delivery was confirmed in the time that the message had.'
    : 'The message could not be delivered in the time it had.'
  const reason = isReply ? (isExpired ? expiry : '') : isExpired ? `${expiry} ${outcome.text}` : outcome.text
  return {
    forwardPath: recipient.forwardPath,
    originalRecipient: recipient.originalRecipient,
    action,
    status: statusOf(outcome, action),
    remoteHost: outcome.remoteHost,
    remoteReply: isReply ? reply : '',
    reason,
    lastAttemptAtMs: outcome.atMs,
    isUncertain: outcome.isUncertain,
    ...(action === 'delayed' ? { willRetryUntilMs: message.expiresAtMs } : {}),
  }
}

/** The class of the status must fit the action: an expired 4xx has failed for good. */
function statusOf({ kind, enhancedCode }: Outcome, action: DsnAction): string {
  if (kind === 'expired') return enhancedCode.startsWith('5') ? enhancedCode : '5.4.7'
  const wanted = action === 'failed' ? '5' : action === 'delayed' ? '4' : '2'
  return enhancedCode.startsWith(wanted) ? enhancedCode : ''
}

function splitContent(content: Buffer): { header: Buffer; body: Buffer } {
  const end = content.indexOf('\r\n\r\n')
  if (end < 0) return { header: content, body: Buffer.alloc(0) }
  return { header: content.subarray(0, end + 4), body: content.subarray(end + 4) }
}
