// Builds delivery status notifications: multipart/report mail that tells a sender what became of a message
// (RFC 3461 §6, RFC 3464, RFC 6522, RFC 6533).
//
// Place on the path: delivery, after an outcome, where the stream asks for mail and NOTIFY allows it.
// Invariants: the same request gives the same bytes (time and ids are given); remote text, ENVID and ORCPT
// cannot add a field or a part; no report for the null reverse-path; the size is capped (dsn-size.ts); 7-bit unless the
// sender's own address or the returned content is not. How it goes:
//   1. refuse what must not be answered;
//   2. build the three parts: words for people, fields for programs, and what is returned of the message;
//   3. choose a boundary that is in none of them, and write the header.

import { isAscii } from 'node:buffer'
import { isIP } from 'node:net'
import { dsnTextBytesMax } from './dsn-size.ts'
import { dsnSubject, dsnText } from './dsn-text.ts'
import { safeText, typedAddress, wrapField } from './dsn-value.ts'
import { fieldBytes, scanHeaderBlock } from './header-block.ts'
import { formatDate, formatMessageIdentifier } from './trace.ts'
import { encodeQuotedPrintable } from './transfer-encoding.ts'

/** What became of a recipient (RFC 3464 §2.3.3). */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded'

/** One recipient of the report. */
export interface DsnRecipient {
  /** `local@domain` without brackets. */
  readonly forwardPath: string
  /** ORCPT as `type;address`, decoded; '' when it was not given. */
  readonly originalRecipient: string
  readonly action: DsnAction
  /** Enhanced status code such as `5.1.1`. */
  readonly status: string
  /** Name of the server that answered; '' when none did. */
  readonly remoteHost: string
  /** The server's reply in one line, codes included, such as `550 5.1.1 No such user`; '' when there was none. */
  readonly remoteReply: string
  /** Plain words on why, for people; '' when the reply says all. */
  readonly reason: string
  /** Epoch milliseconds. */
  readonly lastAttemptAtMs?: number
  /** Epoch milliseconds; for `delayed`. */
  readonly willRetryUntilMs?: number
  /** The whole message was sent once and not answered: a `failed` one may have been delivered. */
  readonly isUncertain?: boolean
}

/** What to report. */
export interface DsnRequest {
  /** Host name of the reporting server. */
  readonly reportingHost: string
  /** Address in From, usually `mailer-daemon@` a domain of ours. */
  readonly from: string
  /** The sender of the message, who gets the report; '' (the null reverse-path) gets none. */
  readonly reversePath: string
  /** Unique text for Message-ID and boundary. */
  readonly unique: string
  /** Epoch milliseconds: when the report is made, and when the message came in. */
  readonly createdAtMs: number
  readonly arrivedAtMs: number
  /** ENVID decoded; '' when it was not given. */
  readonly envelopeId: string
  /** One portion of them (`dsnPortions`) at a time. */
  readonly recipients: readonly DsnRecipient[]
  /** RET (RFC 3461 §4.3), which speaks of failures only; '' counts as HDRS. */
  readonly ret: '' | 'FULL' | 'HDRS'
  /** Header block of the message. */
  readonly originalHeader: Buffer
  /** Body of the message, wanted for RET=FULL only; undefined when it is not at hand. */
  readonly originalBody?: Buffer
  /** Caps, by default 64 KiB of header and 256 KiB of content; above the second the header alone is returned. */
  readonly headerBytesMax?: number
  readonly contentBytesMax?: number
}

/** The report, or why there must be none. */
export type DsnResult =
  | {
      readonly kind: 'built'
      /** Header and body; to be sent from the null reverse-path to the request's reverse-path. */
      readonly content: Buffer
      /** The body needs 8BITMIME (or re-encoding). */
      readonly isEightBit: boolean
      /** The header needs SMTPUTF8. */
      readonly isSmtpUtf8: boolean
    }
  | { readonly kind: 'none'; readonly why: 'null-reverse-path' | 'unsafe-reverse-path' | 'no-recipients' }

/** A body part: its own header fields (without CTE) and its bytes. */
interface Part {
  readonly type: string
  readonly encoding: '7bit' | '8bit' | 'quoted-printable'
  readonly body: Buffer
}

/** Builds a report on one message for its sender. */
export function buildDsn(request: DsnRequest): DsnResult {
  const { reversePath, recipients } = request
  if (reversePath === '') return { kind: 'none', why: 'null-reverse-path' }
  if (recipients.length === 0) return { kind: 'none', why: 'no-recipients' }
  if (safeText(reversePath, true) !== reversePath) return { kind: 'none', why: 'unsafe-reverse-path' }
  // A sender with a UTF-8 address reads UTF-8 fields; all others get pure ASCII (RFC 6533 §3).
  const isSmtpUtf8 = !isAscii(Buffer.from(reversePath))
  const parts = [textPart(request), statusPart(request, isSmtpUtf8), returnedPart(request)]
  const isEightBit = parts.some(part => part.encoding === '8bit')
  const boundary = freeBoundary(request.unique, parts)
  const header = [
    `From: Mail delivery <${safeText(request.from, false)}>`,
    `To: <${reversePath}>`,
    `Subject: ${dsnSubject(recipients)}`,
    `Date: ${formatDate(request.createdAtMs)}`,
    `Message-ID: ${formatMessageIdentifier(request.unique, request.reportingHost)}`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"`,
  ]
  if (isEightBit) header.push('Content-Transfer-Encoding: 8bit')
  const pieces: (string | Buffer)[] = [`${header.join('\r\n')}\r\n\r\n`]
  for (const part of parts) {
    pieces.push(`--${boundary}\r\nContent-Type: ${part.type}\r\n`)
    if (part.encoding !== '7bit') pieces.push(`Content-Transfer-Encoding: ${part.encoding}\r\n`)
    pieces.push('\r\n', part.body, '\r\n')
  }
  pieces.push(`--${boundary}--\r\n`)
  const content = Buffer.concat(pieces.map(piece => (typeof piece === 'string' ? Buffer.from(piece) : piece)))
  return { kind: 'built', content, isEightBit, isSmtpUtf8 }
}

/** Words for people. */
function textPart(request: DsnRequest): Part {
  const body = Buffer.from(dsnText(request))
  if (isAscii(body)) return { type: 'text/plain; charset=us-ascii', encoding: '7bit', body }
  const encoded = encodeQuotedPrintable(body)
  return { type: 'text/plain; charset=utf-8', encoding: 'quoted-printable', body: encoded }
}

/** Fields for programs: one group on the message, one on each recipient. */
function statusPart(request: DsnRequest, isUtf8: boolean): Part {
  const message = [`Reporting-MTA: dns; ${safeText(request.reportingHost, isUtf8)}`]
  if (request.envelopeId !== '')
    message.unshift(`Original-Envelope-Id: ${safeText(request.envelopeId, isUtf8)}`)
  message.push(`Arrival-Date: ${formatDate(request.arrivedAtMs)}`)
  const textBytesMax = dsnTextBytesMax(request.recipients)
  const groups = [message]
  for (const recipient of request.recipients) groups.push(recipientFields(recipient, isUtf8, textBytesMax))
  const text = groups.map(fields => `${fields.map(wrapField).join('\r\n')}\r\n`).join('\r\n')
  const body = Buffer.from(text)
  const type = isUtf8 ? 'message/global-delivery-status' : 'message/delivery-status'
  return { type, encoding: isAscii(body) ? '7bit' : '8bit', body }
}

function recipientFields(recipient: DsnRecipient, isUtf8: boolean, textBytesMax: number): string[] {
  const fields: string[] = []
  const original = originalRecipient(recipient.originalRecipient, isUtf8)
  if (original !== '') fields.push(`Original-Recipient: ${original}`)
  fields.push(`Final-Recipient: ${typedAddress(recipient.forwardPath, isUtf8)}`)
  fields.push(`Action: ${recipient.action}`, `Status: ${statusCode(recipient)}`)
  if (recipient.remoteHost !== '')
    fields.push(`Remote-MTA: dns; ${safeText(mtaName(recipient.remoteHost), isUtf8)}`)
  if (recipient.remoteReply !== '')
    fields.push(`Diagnostic-Code: smtp; ${safeText(recipient.remoteReply, isUtf8, textBytesMax)}`)
  if (recipient.lastAttemptAtMs !== undefined) {
    fields.push(`Last-Attempt-Date: ${formatDate(recipient.lastAttemptAtMs)}`)
  }
  if (recipient.action === 'delayed' && recipient.willRetryUntilMs !== undefined) {
    fields.push(`Will-Retry-Until: ${formatDate(recipient.willRetryUntilMs)}`)
  }
  return fields
}

/** A host known by its address alone is written as an address literal (RFC 5321 §4.1.3). */
function mtaName(host: string): string {
  const family = isIP(host)
  return family === 0 ? host : family === 4 ? `[${host}]` : `[IPv6:${host}]`
}

/** ORCPT as the sender gave it, or nothing when it has no type. */
function originalRecipient(value: string, isUtf8: boolean): string {
  const semicolon = value.indexOf(';')
  const type = value.slice(0, Math.max(0, semicolon)).trim()
  if (!/^[A-Za-z0-9-]{1,40}$/.test(type)) return ''
  const address = value.slice(semicolon + 1).trim()
  const isMailbox = type.toLowerCase() === 'rfc822' || type.toLowerCase() === 'utf-8'
  return isMailbox ? typedAddress(address, isUtf8) : `${type}; ${safeText(address, isUtf8)}`
}

const defaultStatus: Record<DsnAction, string> = {
  failed: '5.0.0',
  delayed: '4.0.0',
  delivered: '2.0.0',
  relayed: '2.0.0',
  expanded: '2.0.0',
}

function statusCode(recipient: DsnRecipient): string {
  return /^[245]\.\d{1,3}\.\d{1,3}$/.test(recipient.status)
    ? recipient.status
    : defaultStatus[recipient.action]
}

/** Of a failure the message or its header, as RET asks and the caps allow; else the header (RFC 3461 §4.3). */
function returnedPart(request: DsnRequest): Part {
  const { originalHeader, originalBody, recipients, ret } = request
  const contentBytesMax = request.contentBytesMax ?? 256 * 1024
  const isFailure = recipients.some(recipient => recipient.action === 'failed')
  const isWanted = isFailure && ret === 'FULL' && originalBody !== undefined
  if (isWanted && originalHeader.length + originalBody.length <= contentBytesMax) {
    const blank = originalHeader.subarray(-4).equals(headerEnd) ? [] : [Buffer.from('\r\n')]
    const content = Buffer.concat([originalHeader, ...blank, originalBody])
    // RFC 6532 §3.7: a message with 8-bit header fields is message/global, which may be encoded.
    const encoding = isAscii(originalBody) ? '7bit' : '8bit'
    if (isAscii(originalHeader)) return { type: 'message/rfc822', encoding, body: content }
    const encoded = encodedPart('message/global', content)
    // It may have grown to three times its size.
    if (encoded.body.length <= contentBytesMax) return encoded
  }
  const header = cutHeader(originalHeader, request.headerBytesMax ?? 64 * 1024)
  if (!isAscii(header)) return encodedPart('message/global-headers', header)
  return { type: 'text/rfc822-headers', encoding: '7bit', body: header }
}

const headerEnd = Buffer.from('\r\n\r\n')

function encodedPart(type: string, bytes: Buffer): Part {
  return { type, encoding: 'quoted-printable', body: encodeQuotedPrintable(bytes) }
}

/** Whole fields up to the cap, without the blank line. */
function cutHeader(header: Buffer, sizeBytesMax: number): Buffer {
  const scan = scanHeaderBlock(header, { sizeBytesMax: header.length, fieldsMax: header.length })
  if (scan.kind !== 'scanned') return Buffer.alloc(0)
  const fields: Buffer[] = []
  let sizeBytes = 0
  for (const field of scan.block.fields) {
    const bytes = fieldBytes(field)
    sizeBytes += bytes.length
    if (sizeBytes > sizeBytesMax) break
    fields.push(bytes)
  }
  return Buffer.concat(fields)
}

/** A boundary that is in no part: the unique text makes that sure already, unless somebody knew it. */
function freeBoundary(unique: string, parts: readonly Part[]): string {
  let boundary = `=_report-${unique.replace(/[^A-Za-z0-9]/g, '').slice(0, 40)}`
  while (boundary.length < 70 && parts.some(part => part.body.includes(boundary))) boundary += 'x'
  return boundary
}
