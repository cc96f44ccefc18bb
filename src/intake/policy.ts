// Policy at the door: who may use which addresses. Pure rules over the account reader, no I/O of their own.
//
// Order on the path: checkReversePath at MAIL, checkForwardPath at RCPT, checkHeader once the header block is complete.

import type { AccountReader } from '../accounts/index.ts'
import {
  countFields,
  fieldsNamed,
  fieldValue,
  type HeaderBlock,
  parseFromField,
} from '../protocol/mail/index.ts'
import type { SmtpPath } from '../protocol/smtp/index.ts'
import type { Principal } from './principal.ts'
import { type Refusal, refuse } from './refusal.ts'

/** What checkHeader found when nothing is wrong. */
export interface HeaderVerdict {
  readonly kind: 'passed'
  /** Domain of the From address, lower-case A-label. */
  readonly fromDomain: string
  /** The From domain belongs to the account, so its keys sign. */
  readonly isOwnDomain: boolean
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
    const how = `the operator adds it with: postrider domain add --account ${account.name} ${domain} --trust`
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

/** RCPT TO: needs a domain we can deliver to. */
export function checkForwardPath(path: SmtpPath): Refusal | null {
  if (path.domain !== '') return null
  return refuse('recipient-domain-missing', `<${path.localPart}> has no domain; use a full address`)
}

/** The header block: one From with one address, own domain, no loop. */
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
  if (principal.senders === 'any') {
    const own = reader.domain(principal.account.key, mailbox.domain)
    return {
      kind: 'passed',
      fromDomain: mailbox.domain,
      isOwnDomain: own !== null && own.status !== 'pending',
    }
  }
  const refusal = checkOwnDomain(reader, principal, mailbox.domain, 'From')
  return refusal ?? { kind: 'passed', fromDomain: mailbox.domain, isOwnDomain: true }
}
