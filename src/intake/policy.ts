// Policy at the door: who may use which addresses. Pure rules over the account reader, no I/O of their own.
//
// Order on the path: checkReversePath at MAIL, checkForwardPath at RCPT, checkHeader once the header block is complete.

import type { Account, AccountReader } from '../accounts/index.ts'
import {
  countFields,
  fieldsNamed,
  fieldValue,
  type HeaderBlock,
  type HeaderField,
  parseFromField,
  parseMailboxes,
} from '../protocol/mail/index.ts'
import type { SmtpPath } from '../protocol/smtp/index.ts'
import type { Principal } from './principal.ts'
import { type Refusal, refuse } from './refusal.ts'

/** What checkHeader found when nothing is wrong. */
export interface HeaderVerdict {
  readonly kind: 'passed'
  /** Domain of the From address, lower-case A-label. */
  readonly fromDomain: string
}

/** May this principal send with this domain? Null when it may. */
function checkOwnDomain(
  reader: AccountReader,
  principal: Principal,
  domain: string,
  where: string,
): Refusal | null {
  const { account } = principal
  const found = reader.domain(account.key, domain)
  if (found === null) {
    const adds = `the operator adds it with: postrider domain add --account ${account.name} ${domain} --trust`
    const how = isAddedField(where) ? `leave the field out, or ${adds}` : adds
    const code = where === 'From' ? 'from-not-owned' : 'sender-not-owned'
    return refuse(code, `${domain} in ${where} is not a domain of account ${account.name}; ${how}`)
  }
  if (found.status === 'pending')
    return refuse(
      'sender-domain-pending',
      `${domain} in ${where} has no proof yet; the operator vouches with: postrider domain add --account ${account.name} ${domain} --trust`,
    )
  return null
}

/** MAIL FROM: null is always allowed to identified clients; else the domain must be the account's own. */
export function checkReversePath(
  reader: AccountReader,
  principal: Principal,
  path: SmtpPath,
): Refusal | null {
  if (path.localPart === '' && path.domain === '') return null
  if (principal.senders === 'any') return null
  if (path.domain === '')
    return refuse(
      'sender-not-owned',
      `the reverse-path <${path.localPart}> has no domain; use a full address`,
    )
  return checkOwnDomain(reader, principal, path.domain, 'MAIL FROM')
}

/**
 * May a failure report go to this reverse-path? Only to a domain of the account: a relay network with `senders = "any"`
 * may name anybody's, and he would get the reports on mail that he never sent.
 */
export function mayBeReportedTo(reader: AccountReader, account: Account, reversePath: string): boolean {
  const domain = reversePath.slice(reversePath.lastIndexOf('@') + 1)
  const found = reader.domain(account.key, domain)
  return found !== null && found.status !== 'pending'
}

/** RCPT TO: needs a domain we can deliver to. */
export function checkForwardPath(path: SmtpPath): Refusal | null {
  if (path.domain !== '') return null
  return refuse('recipient-domain-missing', `<${path.localPart}> has no domain; use a full address`)
}

/** Fields beside From that say who sent a message (RFC 5322 §3.6.2, §3.6.6), as they are written. */
const senderFields: ReadonlyMap<string, string> = new Map([
  ['sender', 'Sender'],
  ['resent-from', 'Resent-From'],
  ['resent-sender', 'Resent-Sender'],
])

function isAddedField(where: string): boolean {
  return senderFields.has(where.toLowerCase())
}

/**
 * Whoever else the header names as sender must be the account's too: mail programs show a Sender beside From, or
 * instead of it. A message may have been sent again several times, but has one Sender.
 */
function checkOtherSenders(reader: AccountReader, principal: Principal, block: HeaderBlock): Refusal | null {
  let senders = 0
  for (const field of block.fields) {
    const name = senderFields.get(field.name)
    if (name === undefined) continue
    if (field.name === 'sender' && ++senders > 1)
      return refuse('sender-invalid', 'a message has at most one Sender field, this one has several')
    const refusal = checkOtherSender(reader, principal, field, name)
    if (refusal !== null) return refusal
  }
  return null
}

function checkOtherSender(
  reader: AccountReader,
  principal: Principal,
  field: HeaderField,
  name: string,
): Refusal | null {
  const list = parseMailboxes(fieldValue(field))
  const isOneTooMany = list.kind === 'parsed' && list.mailboxes.length > 1 && field.name !== 'resent-from'
  if (list.kind === 'refused' || list.mailboxes.length === 0 || isOneTooMany) {
    const why = list.kind === 'refused' ? list.why : `it has ${list.mailboxes.length} addresses`
    return refuse(
      'sender-invalid',
      `the ${name} field cannot be used: ${why}; leave it out, or write one address as name@domain`,
    )
  }
  for (const { domain } of list.mailboxes) {
    const refusal = checkOwnDomain(reader, principal, domain, name)
    if (refusal !== null) return refusal
  }
  return null
}

/** The header block: one From with one address, own domain, no other sender that is not the account's, no loop. */
export function checkHeader(
  reader: AccountReader,
  principal: Principal,
  block: HeaderBlock,
  receivedMax: number,
): HeaderVerdict | Refusal {
  const hops = countFields(block, 'received')
  if (hops > receivedMax)
    return refuse(
      'mail-loop',
      `${hops} Received fields (limit ${receivedMax}): this message goes round in a loop`,
    )
  const froms = fieldsNamed(block, 'from')
  if (froms.length !== 1)
    return refuse('from-invalid', `a message needs exactly one From field, this one has ${froms.length}`)
  const from = parseFromField(fieldValue(froms[0]!))
  if (from.kind !== 'parsed')
    return refuse(
      'from-invalid',
      `the From field cannot be used: ${from.why}; write one address as name@domain`,
    )
  const mailbox = from.mailbox
  if (principal.senders === 'any') return { kind: 'passed', fromDomain: mailbox.domain }
  const refusal =
    checkOwnDomain(reader, principal, mailbox.domain, 'From') ?? checkOtherSenders(reader, principal, block)
  return refusal ?? { kind: 'passed', fromDomain: mailbox.domain }
}
