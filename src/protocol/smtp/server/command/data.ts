// DATA (RFC 5321 §4.1.1.4): the handler's go-ahead, then 354; a refusal ends the transaction.

import type { SmtpReply } from '../../reply.ts'
import { type AnySmtpCommand, defineCommand } from '../command.ts'
import type { ContentAcceptance } from '../handler.ts'
import { chunksRunning, helloFirst, mailFirst, noParameter, noRecipients, startData } from '../replies.ts'

const misplacedReplies: Readonly<Record<string, SmtpReply>> = {
  greeted: helloFirst,
  mail: noRecipients,
  chunks: chunksRunning,
}

export const data: AnySmtpCommand = defineCommand<null, ContentAcceptance>({
  verb: 'DATA',
  phases: new Set(['rcpt'] as const),
  misplaced: phase => misplacedReplies[phase] ?? mailFirst,
  isLastInGroup: true,
  parse: text => (text === '' ? { ok: true, args: null } : { ok: false, reply: noParameter }),
  proceed: session => session.handler.content(),
  settle(session, _args, result) {
    if ('sink' in result) {
      session.beginData(result)
      return startData
    }
    session.resetTransaction()
    return result
  },
  abandon(result) {
    if ('sink' in result) result.sink.abort()
  },
})
