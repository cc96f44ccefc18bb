// AUTH (RFC 4954): the command and the lines of its dialogue, which run like a command of their own.
//
// Before TLS the credentials are not looked at. The handler's reply goes out as it is; only 235 counts.

import { type SmtpReply, smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, type CommandSession, defineCommand } from '../command.ts'
import type { MaybePromise, SaslCredentials } from '../handler.ts'
import { authNeedsTls, helloFirst, insideTransaction, notImplemented } from '../replies.ts'
import { SaslDialogue, type SaslStep } from '../sasl.ts'

interface AuthArgs {
  readonly mechanism: SaslCredentials['mechanism']
  readonly initial: string | null
}

/** A reply and the name it authenticates, if it is a 235. */
interface AuthResult {
  readonly reply: SmtpReply
  readonly username: string
}

const syntax = smtpReply(501, '5.5.4', 'Syntax: AUTH mechanism [initial-response]')
const unknownMechanism = smtpReply(504, '5.5.4', 'The mechanisms are PLAIN and LOGIN')
const twice = smtpReply(503, '5.5.1', 'Already authenticated')
const afterEhlo = smtpReply(503, '5.5.1', 'AUTH needs EHLO, not HELO')
const badHandlerReply = smtpReply(454, '4.7.0', 'Authentication is not possible at the moment')

function judge(session: CommandSession, step: SaslStep): MaybePromise<AuthResult> {
  if (step.kind === 'reply') return { reply: step.reply, username: '' }
  const { credentials } = step
  const withName = (reply: SmtpReply): AuthResult => ({ reply, username: credentials.username })
  const reply = session.handler.authenticate(credentials)
  return reply instanceof Promise ? reply.then(withName) : withName(reply)
}

function settle(session: CommandSession, _args: unknown, result: AuthResult | SmtpReply): SmtpReply {
  const { reply, username } = 'reply' in result ? result : { reply: result, username: '' }
  if (reply.code === 334 && username === '') {
    session.enter('sasl')
    return reply
  }
  session.sasl = null
  session.enter('ready')
  if (reply.code === 235) session.authenticated(username)
  // A 2xx or 3xx that is no 235 would leave the client with a belief that we do not share.
  return reply.code === 235 || reply.code >= 400 ? reply : badHandlerReply
}

export const auth: AnySmtpCommand = defineCommand<AuthArgs, AuthResult>({
  verb: 'AUTH',
  phases: new Set(['ready'] as const),
  misplaced: phase => (phase === 'greeted' ? helloFirst : insideTransaction),
  isLastInGroup: true,
  isAuthLine: true,
  parse(text, session) {
    const { options, facts } = session
    if (!options.offersAuth) return { ok: false, reply: notImplemented }
    if (facts.tls === null) return { ok: false, reply: authNeedsTls }
    if (!facts.isExtended) return { ok: false, reply: afterEhlo }
    if (facts.authenticatedAs !== null) return { ok: false, reply: twice }
    const words = text.split(/ +/)
    const mechanism = words[0]?.toUpperCase()
    if (mechanism === undefined || mechanism === '' || words.length > 2) return { ok: false, reply: syntax }
    if (mechanism !== 'PLAIN' && mechanism !== 'LOGIN') return { ok: false, reply: unknownMechanism }
    return { ok: true, args: { mechanism, initial: words[1] ?? null } }
  },
  proceed(session, { mechanism, initial }) {
    session.sasl = new SaslDialogue(mechanism)
    return judge(session, session.sasl.start(initial))
  },
  settle,
})

/** A line of the client inside the dialogue; not in the table, since it has no verb. */
export const authResponse: AnySmtpCommand = defineCommand<string, AuthResult>({
  verb: 'AUTH',
  phases: new Set(['sasl'] as const),
  isAllowedBeforeTls: true,
  isLastInGroup: true,
  isAuthLine: true,
  parse: text => ({ ok: true, args: text }),
  proceed(session, line) {
    if (session.sasl === null) return badHandlerReply
    return judge(session, session.sasl.next(line))
  },
  settle,
})
