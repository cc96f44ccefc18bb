// Refusals at the door: one table of stable codes, used by SMTP now and by the HTTP door later.
//
// A refusal says what is wrong, for which domain or address, and what to do next, in the same words on the wire, in
// the log and in the `rejected` event. The code in brackets is stable: people may search and alert on it.

import { type SmtpReply, smtpReply } from '../protocol/smtp/index.ts'

/** Every refusal with its SMTP reply and, for the HTTP door, its status. */
export const refusals = {
  'account-missing': { code: 451, enhanced: '4.3.5', httpStatus: 503 },
  'authentication-required': { code: 530, enhanced: '5.7.0', httpStatus: 401 },
  'authentication-failed': { code: 535, enhanced: '5.7.8', httpStatus: 401 },
  'sender-not-owned': { code: 550, enhanced: '5.7.1', httpStatus: 403 },
  'sender-invalid': { code: 550, enhanced: '5.6.0', httpStatus: 422 },
  'sender-domain-pending': { code: 550, enhanced: '5.7.1', httpStatus: 403 },
  'recipient-domain-missing': { code: 550, enhanced: '5.1.3', httpStatus: 422 },
  'header-too-large': { code: 552, enhanced: '5.3.4', httpStatus: 413 },
  'header-too-many-fields': { code: 552, enhanced: '5.3.4', httpStatus: 413 },
  'header-malformed': { code: 550, enhanced: '5.6.0', httpStatus: 422 },
  'from-invalid': { code: 550, enhanced: '5.6.0', httpStatus: 422 },
  'from-not-owned': { code: 550, enhanced: '5.7.1', httpStatus: 403 },
  'mail-loop': { code: 554, enhanced: '5.4.6', httpStatus: 422 },
  'line-too-long': { code: 550, enhanced: '5.6.0', httpStatus: 422 },
  'encoding-busy': { code: 452, enhanced: '4.3.1', httpStatus: 503 },
  'signing-failed': { code: 451, enhanced: '4.7.5', httpStatus: 503 },
  'store-failed': { code: 452, enhanced: '4.3.1', httpStatus: 503 },
  'too-many-connections': { code: 421, enhanced: '4.7.0', httpStatus: 429 },
  'connection-rate': { code: 421, enhanced: '4.7.0', httpStatus: 429 },
  'server-busy': { code: 421, enhanced: '4.3.2', httpStatus: 503 },
} as const

/** A stable refusal code. */
export type RefusalCode = keyof typeof refusals

/** One refusal as a value. */
export interface Refusal {
  readonly kind: 'refused'
  readonly code: RefusalCode
  /** What is wrong and for whom; what to do next. One line. */
  readonly text: string
  /** For the log of the operator only: paths and words of the system are nobody else's business. */
  readonly detail?: string
}

/** The disk refused. What it said goes to the log. */
export function storeFailed(why: string): Refusal {
  const text = 'the message could not be written to disk and was not kept; try again later'
  return { kind: 'refused', code: 'store-failed', text, detail: why }
}

/** Makes a refusal. `text` is one sentence or two, without CR or LF. */
export function refuse(code: RefusalCode, text: string): Refusal {
  return { kind: 'refused', code, text }
}

/** The reply that goes on the wire: the text with the stable code behind it. */
export function refusalReply(refusal: Refusal): SmtpReply {
  const row = refusals[refusal.code]
  return smtpReply(row.code, row.enhanced, `${wireText(refusal.text)} [${refusal.code}]`)
}

/** Printable ASCII, at most 400 characters: a reply line must stay below 512 (RFC 5321 §4.5.3.1.5). */
function wireText(text: string): string {
  let out = ''
  for (const character of text.slice(0, 400)) {
    const code = character.charCodeAt(0)
    out += code >= 32 && code < 127 ? character : '?'
  }
  return out
}
