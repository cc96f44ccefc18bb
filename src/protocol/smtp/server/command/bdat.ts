// BDAT (RFC 3030): octets by count, chunk after chunk, LAST ends the content.
//
// The octets follow the command whatever we think of it: they are swallowed before the refusal is sent, so that
// no byte of a content is ever read as a command. A count that cannot be believed closes the connection.

import { type SmtpReply, smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, type BdatChunk, defineCommand } from '../command.ts'
import type { ContentAcceptance } from '../handler.ts'
import { helloFirst, mailFirst, noRecipients, tooBigAndLast } from '../replies.ts'

const syntax = smtpReply(501, '5.5.4', 'Syntax: BDAT octets [LAST]', true)
/** So many times the size limit is no chunk any more. */
const absurdFactor = 4

function parseChunk(text: string): BdatChunk | null {
  const found = /^([0-9]{1,15})(?: +(LAST))?$/i.exec(text)
  return found === null ? null : { octets: Number(found[1]), isLast: found[2] !== undefined }
}

const misplacedReplies: Readonly<Record<string, SmtpReply>> = { greeted: helloFirst, mail: noRecipients }

export const bdat: AnySmtpCommand = defineCommand<BdatChunk, ContentAcceptance | null>({
  verb: 'BDAT',
  phases: new Set(['rcpt', 'chunks'] as const),
  misplaced: phase => misplacedReplies[phase] ?? mailFirst,
  parse(text, session) {
    const chunk = parseChunk(text)
    // Without the count nobody can tell octets from commands.
    if (chunk === null) {
      session.closeAfterReply('errors')
      return { ok: false, reply: syntax }
    }
    if (chunk.octets > session.options.maxSizeBytes * absurdFactor) {
      session.closeAfterReply('flood')
      return { ok: false, reply: tooBigAndLast }
    }
    return { ok: true, args: chunk }
  },
  proceed: session => (session.phase === 'chunks' ? null : session.handler.content()),
  settle(session, chunk, result) {
    session.beginChunk(chunk, result)
    return null
  },
  abandon(result) {
    if (result !== null && 'sink' in result) result.sink.abort()
  },
  swallow(session, text, reply) {
    const chunk = parseChunk(text)
    if (chunk === null || chunk.octets > session.options.maxSizeBytes * absurdFactor) {
      session.closeAfterReply('errors')
      return false
    }
    session.beginChunk(chunk, reply)
    return true
  },
})
