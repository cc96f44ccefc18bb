// EHLO and HELO (RFC 5321 §4.1.1.1): the client's name, the extensions; both give up an open transaction.
//
// The name is not trusted, but it is printed in Received, so that only characters of names and address literals
// pass. Names that are no real domain are accepted: refusing them helps nobody.

import { domainBytesMax } from '../../../mail/index.ts'
import { type SmtpReply, smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, type CommandSession, defineSimpleCommand } from '../command.ts'
import { announce } from '../extensions.ts'

const badName = smtpReply(501, '5.5.4', 'Give a domain name or an address literal')
const namePattern = /^[A-Za-z0-9._:[\]-]+$/

function hello(session: CommandSession, text: string, isExtended: boolean): SmtpReply {
  if (text.length > domainBytesMax || !namePattern.test(text)) return badName
  session.resetTransaction()
  session.greet(text, isExtended)
  const { options, facts } = session
  if (!isExtended) return { code: 250, enhanced: '', lines: [options.hostname] }
  return {
    code: 250,
    enhanced: '',
    lines: [`${options.hostname} greets ${text}`, ...announce(options, facts)],
  }
}

const flags = { isAllowedBeforeTls: true, isLastInGroup: true, isJunk: true }

export const ehlo: AnySmtpCommand = defineSimpleCommand({
  ...flags,
  verb: 'EHLO',
  run: (session, text) => hello(session, text, true),
})

export const helo: AnySmtpCommand = defineSimpleCommand({
  ...flags,
  verb: 'HELO',
  run: (session, text) => hello(session, text, false),
})
