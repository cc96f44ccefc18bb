// The words of a delivery status notification: what happened, to whom, why, and what the sender can do.
//
// Place on the path: the DSN builder. Invariants: lines of at most 76 characters where words allow it, CRLF at
// every line; text from elsewhere goes through safeText.

import type { DsnAction, DsnRecipient, DsnRequest } from './dsn.ts'
import { dsnTextBytesMax } from './dsn-size.ts'
import { safeText, wrap } from './dsn-value.ts'
import { formatDate } from './trace.ts'

const lineMax = 76

interface Words {
  readonly action: DsnAction
  /** Of a failure, whose message may have arrived all the same. */
  readonly isUncertain?: true
  readonly subject: string
  readonly lead: string
}

/** What a report says of an action; the first of the list that occurs gives the subject. */
const words: readonly Words[] = [
  {
    action: 'failed',
    subject: 'Message not delivered (delivery report)',
    lead: 'Your message was not delivered to these addresses, and will not be tried again:',
  },
  {
    action: 'failed',
    isUncertain: true,
    subject: 'Message perhaps not delivered (delivery report)',
    lead: 'It is not known whether your message was delivered to these addresses. It will not be tried again:',
  },
  {
    action: 'delayed',
    subject: 'Message delayed (delivery report)',
    lead: 'Your message has not been delivered to these addresses yet. You need not send it again:',
  },
  {
    action: 'expanded',
    subject: 'Message delivered (delivery report)',
    lead: 'Your message was delivered to these mailing lists, which sent it on:',
  },
  {
    action: 'relayed',
    subject: 'Message passed on (delivery report)',
    lead: 'Your message was passed on to these servers, which may not report whether they delivered it:',
  },
  {
    action: 'delivered',
    subject: 'Message delivered (delivery report)',
    lead: 'Your message was delivered to the servers of these addresses:',
  },
]

/** What the sender can do, by status code (RFC 3463); the longest code that fits counts. */
const advice: readonly (readonly [string, string])[] = [
  ['5.1.1', 'Check the address for typing errors.'],
  ['5.1.10', 'This domain takes no mail. Check the part of the address after the @.'],
  ['5.1.2', 'Check the part of the address after the @.'],
  ['5.2.2', 'The mailbox is full. Tell the recipient in another way.'],
  ['5.2.3', 'Send a smaller message, or a link in place of the attachment.'],
  ['5.3.4', 'Send a smaller message, or a link in place of the attachment.'],
  ['5.6', 'The form of the message was refused. Send it in another form, such as plain text.'],
  ['5.7', 'It was refused for reasons of policy. The text of the server may say more.'],
  ['4.4.7', 'The server could not be reached in time, or put it off every time. Try again later.'],
  ['5.4.7', 'The server could not be reached in time, or put it off every time. Try again later.'],
]

const uncertainty =
  'The whole message was sent once and got no answer: it may have been delivered. Ask the recipient before you send it again.'

/** Subject of a report: that of its worst action. */
export function dsnSubject(recipients: readonly DsnRecipient[]): string {
  const worst = words.find(word => recipients.some(recipient => concerns(word, recipient)))
  return worst?.subject ?? 'Delivery report'
}

/** The text part. */
export function dsnText(request: DsnRequest): string {
  const lines: string[] = [`This is a report from the mail server ${safeText(request.reportingHost, true)}.`]
  const textBytesMax = dsnTextBytesMax(request.recipients)
  for (const word of words) {
    const concerned = request.recipients.filter(recipient => concerns(word, recipient))
    if (concerned.length === 0) continue
    lines.push('', word.lead)
    for (const recipient of concerned) lines.push('', ...recipientLines(recipient, textBytesMax))
  }
  lines.push('', 'Details for mail programs follow, then the message or its header.')
  return `${lines.map(line => wrapLine(line)).join('\r\n')}\r\n`
}

function concerns(word: Words, recipient: DsnRecipient): boolean {
  return recipient.action === word.action && isInDoubt(recipient) === (word.isUncertain === true)
}

function isInDoubt({ action, isUncertain }: DsnRecipient): boolean {
  return action === 'failed' && isUncertain === true
}

function recipientLines(recipient: DsnRecipient, textBytesMax: number): string[] {
  const lines = [`  ${safeText(recipient.forwardPath, true)}`]
  if (recipient.reason !== '') lines.push(`    ${safeText(recipient.reason, true, textBytesMax)}`)
  if (recipient.remoteReply !== '') {
    const host =
      recipient.remoteHost === '' ? 'The server' : `The server ${safeText(recipient.remoteHost, true)}`
    lines.push(`    ${host} answered: ${safeText(recipient.remoteReply, true, textBytesMax)}`)
  }
  if (recipient.action === 'delayed' && recipient.willRetryUntilMs !== undefined) {
    lines.push(`    It will be tried again until ${formatDate(recipient.willRetryUntilMs)}.`)
  }
  const hint = recipient.action === 'failed' ? adviceFor(recipient) : ''
  if (hint !== '') lines.push(`    ${hint}`)
  return lines
}

function adviceFor(recipient: DsnRecipient): string {
  if (isInDoubt(recipient)) return uncertainty
  const { status } = recipient
  let found = ''
  let codeLength = 0
  for (const [code, text] of advice) {
    const isMatch = status === code || status.startsWith(`${code}.`)
    if (isMatch && code.length > codeLength) {
      found = text
      codeLength = code.length
    }
  }
  return found
}

/** Wraps a line; what follows is set in as the line is. */
function wrapLine(line: string): string {
  const indent = line.slice(0, line.length - line.trimStart().length)
  return indent + wrap(line.slice(indent.length), lineMax - indent.length, `\r\n${indent}`)
}
