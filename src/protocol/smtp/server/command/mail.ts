// MAIL FROM (RFC 5321 §4.1.1.2) with SIZE, BODY, SMTPUTF8, RET, ENVID and AUTH.
//
// AUTH= (RFC 4954 §5) is checked for form and otherwise ignored: nobody here is trusted to say who else wrote it.

import {
  decodeXtext,
  type EsmtpParameter,
  parseParameters,
  parsePath,
  type SmtpPath,
} from '../../grammar/index.ts'
import { replyClass, type SmtpReply, smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, type CheckedText, type CommandSession, defineCommand } from '../command.ts'
import type { MailParameters } from '../handler.ts'
import { authFirst, helloFirst, mailAlreadyGiven, tooBig, tooManyMails } from '../replies.ts'

interface MailArgs {
  readonly path: SmtpPath
  readonly parameters: MailParameters
}

type Draft = { -readonly [K in keyof MailParameters]: MailParameters[K] }

const plainParameters: MailParameters = Object.freeze({ body: '7bit', isSmtpUtf8: false })
const syntax = smtpReply(501, '5.5.4', 'Syntax: MAIL FROM:<address> [parameters]')
const badValue = (keyword: string): SmtpReply =>
  smtpReply(501, '5.5.4', `The value of ${keyword} is not valid`)
const envelopeIdCharsMax = 100

/** What each keyword does to the parameters; a reply refuses its value. */
const keywords: Readonly<
  Record<string, (draft: Draft, value: string | null, session: CommandSession) => SmtpReply | null>
> = {
  SIZE(draft, value, session) {
    if (value === null || !/^[0-9]{1,20}$/.test(value)) return badValue('SIZE')
    const sizeBytes = Number(value)
    if (sizeBytes > session.options.maxSizeBytes) return tooBig
    draft.sizeBytes = sizeBytes
    return null
  },
  BODY(draft, value) {
    const body = value?.toLowerCase()
    if (body !== '7bit' && body !== '8bitmime') return badValue('BODY')
    draft.body = body
    return null
  },
  SMTPUTF8(draft, value) {
    if (value !== null) return badValue('SMTPUTF8')
    draft.isSmtpUtf8 = true
    return null
  },
  RET(draft, value) {
    const ret = value?.toUpperCase()
    if (ret !== 'FULL' && ret !== 'HDRS') return badValue('RET')
    draft.ret = ret
    return null
  },
  ENVID(draft, value) {
    const envelopeId = value === null ? null : decodeXtext(value)
    if (envelopeId === null || envelopeId.length > envelopeIdCharsMax) return badValue('ENVID')
    draft.envelopeId = envelopeId
    return null
  },
  AUTH(_draft, value) {
    return value === null || decodeXtext(value) === null ? badValue('AUTH') : null
  },
}

function readParameters(
  given: readonly EsmtpParameter[],
  session: CommandSession,
): { parameters: MailParameters } | { reply: SmtpReply } {
  if (given.length === 0) return { parameters: plainParameters }
  const draft: Draft = { ...plainParameters }
  for (const { keyword, value } of given) {
    const apply = Object.hasOwn(keywords, keyword) ? keywords[keyword] : undefined
    if (apply === undefined || !session.facts.isExtended)
      return { reply: smtpReply(555, '5.5.4', `The parameter ${keyword} is not supported`) }
    const reply = apply(draft, value, session)
    if (reply !== null) return { reply }
  }
  return { parameters: draft }
}

function parse(text: string, session: CommandSession): CheckedText<MailArgs> {
  const refuse = (reply: SmtpReply): CheckedText<MailArgs> => ({ ok: false, reply })
  const { options, facts } = session
  if (options.requiresAuth && facts.authenticatedAs === null && !session.isTrusted) return refuse(authFirst)
  if (session.mailCount >= options.limits.mailsPerSession) {
    session.closeAfterReply('mail-limit')
    return refuse(tooManyMails)
  }
  if (text.slice(0, 5).toUpperCase() !== 'FROM:') return refuse(syntax)
  const parsed = parsePath(text.slice(5), 'reverse')
  if (!parsed.ok) return refuse(smtpReply(501, '5.1.7', `Bad sender address: ${parsed.why}`))
  const { path, rest } = parsed.value
  const given = parseParameters(rest)
  if (!given.ok) return refuse(smtpReply(501, '5.5.4', `Bad MAIL parameters: ${given.why}`))
  const read = readParameters(given.value, session)
  if ('reply' in read) return refuse(read.reply)
  if (path.isUtf8 && !read.parameters.isSmtpUtf8)
    return refuse(smtpReply(553, '5.6.7', 'A non-ASCII sender address needs the SMTPUTF8 parameter'))
  return { ok: true, args: { path, parameters: read.parameters } }
}

export const mail: AnySmtpCommand = defineCommand<MailArgs, SmtpReply>({
  verb: 'MAIL',
  phases: new Set(['ready'] as const),
  misplaced: phase => (phase === 'greeted' ? helloFirst : mailAlreadyGiven),
  parse,
  proceed: (session, { path, parameters }) => session.handler.mail(path, parameters),
  settle(session, { parameters }, reply) {
    if (replyClass(reply) === 2) session.beginTransaction(parameters.isSmtpUtf8)
    return reply
  },
})
