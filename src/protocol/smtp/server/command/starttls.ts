// STARTTLS (RFC 3207). Bytes that came with the command are an injection: the session looks for them before it
// runs this command and closes instead.

import { smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, defineSimpleCommand } from '../command.ts'
import { helloFirst, insideTransaction, noParameter, notImplemented, startTls } from '../replies.ts'

const twice = smtpReply(503, '5.5.1', 'TLS is on already')

export const starttls: AnySmtpCommand = defineSimpleCommand({
  verb: 'STARTTLS',
  phases: new Set(['ready'] as const),
  misplaced: phase => (phase === 'greeted' ? helloFirst : insideTransaction),
  isAllowedBeforeTls: true,
  isLastInGroup: true,
  run(session, text) {
    if (session.facts.tls !== null) return twice
    if (session.options.tls.mode !== 'starttls') return notImplemented
    if (text !== '') return noParameter
    session.beginTls()
    return startTls
  },
})
