// RCPT TO (RFC 5321 §4.1.1.3) with NOTIFY and ORCPT (RFC 3461 §4).
//
// ORCPT never routes: it is passed to the handler beside the path and nothing here compares the two.

import {
  decodeUtf8AddressXtext,
  decodeXtext,
  type EsmtpParameter,
  parseParameters,
  parsePath,
  type SmtpPath,
} from '../../grammar/index.ts'
import { replyClass, type SmtpReply, smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, type CheckedText, type CommandSession, defineCommand } from '../command.ts'
import type { RcptParameters } from '../handler.ts'
import { chunksRunning, helloFirst, mailFirst, tooManyRecipients } from '../replies.ts'

interface RcptArgs {
  readonly path: SmtpPath
  readonly parameters: RcptParameters
}

type Notify = 'SUCCESS' | 'FAILURE' | 'DELAY'

const noParameters: RcptParameters = Object.freeze({})
const syntax = smtpReply(501, '5.5.4', 'Syntax: RCPT TO:<address> [parameters]')
const badNotify = smtpReply(501, '5.5.4', 'The value of NOTIFY is not valid')
const badOriginal = smtpReply(501, '5.5.4', 'The value of ORCPT is not valid')
/** RFC 3461 §4.2: the whole value. */
const originalCharsMax = 500

/** Null when the list is malformed; empty for NEVER. */
function readNotify(value: string | null): readonly Notify[] | null {
  const words = (value ?? '').toUpperCase().split(',')
  if (words.length === 1 && words[0] === 'NEVER') return []
  const found: Notify[] = []
  for (const word of words) {
    if (word !== 'SUCCESS' && word !== 'FAILURE' && word !== 'DELAY') return null
    if (found.includes(word)) return null
    found.push(word)
  }
  return found
}

function readOriginal(value: string | null, isUtf8: boolean): { type: string; address: string } | null {
  const semicolon = value === null ? -1 : value.indexOf(';')
  if (value === null || semicolon < 1 || value.length > originalCharsMax) return null
  const type = value.slice(0, semicolon)
  if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(type)) return null
  const encoded = value.slice(semicolon + 1)
  // A value outside ASCII is valid only for the utf-8 type of an SMTPUTF8 transaction (RFC 6533 §3).
  const address =
    type.toLowerCase() === 'utf-8'
      ? (isUtf8 || !/[^ -~]/.test(encoded)) && decodeUtf8AddressXtext(encoded)
      : decodeXtext(encoded)
  return address ? { type, address } : null
}

function readParameters(
  given: readonly EsmtpParameter[],
  session: CommandSession,
): { parameters: RcptParameters } | { reply: SmtpReply } {
  if (given.length === 0) return { parameters: noParameters }
  let parameters: RcptParameters = noParameters
  for (const { keyword, value } of given) {
    if (keyword === 'NOTIFY' && session.facts.isExtended) {
      const notify = readNotify(value)
      if (notify === null) return { reply: badNotify }
      parameters = { ...parameters, notify }
    } else if (keyword === 'ORCPT' && session.facts.isExtended) {
      const originalRecipient = readOriginal(value, session.isUtf8Transaction)
      if (originalRecipient === null) return { reply: badOriginal }
      parameters = { ...parameters, originalRecipient }
    } else return { reply: smtpReply(555, '5.5.4', `The parameter ${keyword} is not supported`) }
  }
  return { parameters }
}

function parse(text: string, session: CommandSession): CheckedText<RcptArgs> {
  const refuse = (reply: SmtpReply): CheckedText<RcptArgs> => ({ ok: false, reply })
  if (text.slice(0, 3).toUpperCase() !== 'TO:') return refuse(syntax)
  const parsed = parsePath(text.slice(3), 'forward')
  if (!parsed.ok) return refuse(smtpReply(501, '5.1.3', `Bad recipient address: ${parsed.why}`))
  const { path, rest } = parsed.value
  if (path.isUtf8 && !session.isUtf8Transaction)
    return refuse(smtpReply(553, '5.6.7', 'A non-ASCII recipient address needs SMTPUTF8 on MAIL'))
  const given = parseParameters(rest)
  if (!given.ok) return refuse(smtpReply(501, '5.5.4', `Bad RCPT parameters: ${given.why}`))
  const read = readParameters(given.value, session)
  if ('reply' in read) return refuse(read.reply)
  if (session.rcptCount >= session.options.limits.rcptMax) return refuse(tooManyRecipients)
  return { ok: true, args: { path, parameters: read.parameters } }
}

export const rcpt: AnySmtpCommand = defineCommand<RcptArgs, SmtpReply>({
  verb: 'RCPT',
  phases: new Set(['mail', 'rcpt'] as const),
  misplaced: phase => (phase === 'greeted' ? helloFirst : phase === 'chunks' ? chunksRunning : mailFirst),
  parse,
  proceed: (session, { path, parameters }) => session.handler.rcpt(path, parameters),
  settle(session, _args, reply) {
    if (replyClass(reply) === 2) {
      session.rcptCount++
      session.enter('rcpt')
    }
    return reply
  },
})
