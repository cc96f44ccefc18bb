// From the arguments of a command to the queue's filter: ids and names become keys and bytes.

import type { AccountService } from '../../accounts/index.ts'
import { parseId, parseRecipientId, recipientsMax } from '../../base/index.ts'
import { normalizeDomainOrLiteral } from '../../protocol/mail/index.ts'
import type { QueueFilter } from '../../queue/index.ts'
import type { Arguments } from './command.ts'
import { type ControlOutcome, failed } from './wire.ts'

export type FilterResult =
  | { readonly ok: true; readonly filter: QueueFilter }
  | (ControlOutcome & { readonly ok: false })

/** Reads `account`, `domain`, `message`, `recipient`, `state`. The caller asks for `given.problem` afterwards. */
export function readFilter(given: Arguments, service: AccountService): FilterResult {
  const account = given.optionalText('account')
  const domain = given.optionalText('domain')
  const message = given.optionalText('message')
  const recipient = given.optionalText('recipient')
  const state = given.choice('state', ['scheduled', 'leased', 'held'])
  let filter: QueueFilter = {
    ...(state === undefined ? {} : { state }),
  }
  if (domain !== undefined) {
    const name = normalizeDomainOrLiteral(domain)
    if (!name.ok)
      return failed(
        'invalid',
        `${JSON.stringify(domain.slice(0, 80))} is not a domain: ${name.why}`,
        'give it as in the address',
      )
    filter = { ...filter, domain: name.value }
  }
  if (account !== undefined) {
    const owner = service.account(account)
    if (!owner.ok) return owner
    filter = { ...filter, accountKey: owner.value.key }
  }
  if (message !== undefined) {
    const messageId = parseId('msg', message)
    if (messageId === null) return notAnId(message, 'message', 'msg_ and 26 characters')
    filter = { ...filter, messageId }
  }
  if (recipient !== undefined) {
    const id = parseRecipientId(recipient)
    if (id === null)
      return notAnId(recipient, 'recipient', `msg_…, a dot and a number below ${recipientsMax}`)
    if (filter.messageId !== undefined && !filter.messageId.equals(id.message))
      return failed(
        'invalid',
        'the recipient is not one of that message',
        'give the message or the recipient',
      )
    filter = { ...filter, messageId: id.message, recipientNumber: id.number }
  }
  return { ok: true, filter }
}

/** The error for a text that is no id. */
export function notAnId(text: string, what: string, form: string): ControlOutcome & { readonly ok: false } {
  return failed(
    'invalid',
    `${JSON.stringify(text.slice(0, 80))} is not the id of a ${what}: it would be ${form}`,
    'ids are shown by postrider queue list and postrider message list',
  )
}
