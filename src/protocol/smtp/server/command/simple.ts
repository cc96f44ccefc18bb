// The commands of one line: RSET NOOP QUIT VRFY HELP, and those we know but do not implement.

import { smtpReply } from '../../reply.ts'
import { type AnySmtpCommand, defineSimpleCommand } from '../command.ts'
import { cannotVerify, goodbye, help, noParameter, notImplemented, ok } from '../replies.ts'

const verifyWhat = smtpReply(501, '5.5.4', 'Syntax: VRFY address')

const rset = defineSimpleCommand({
  verb: 'RSET',
  isAllowedBeforeTls: true,
  isJunk: true,
  run(session, text) {
    if (text !== '') return noParameter
    session.resetTransaction()
    return ok
  },
})

const noop = defineSimpleCommand({
  verb: 'NOOP',
  isAllowedBeforeTls: true,
  isLastInGroup: true,
  isJunk: true,
  run: () => ok,
})

const quit = defineSimpleCommand({
  verb: 'QUIT',
  isAllowedBeforeTls: true,
  run(session, text) {
    if (text !== '') return noParameter
    session.closeAfterReply('quit')
    return goodbye
  },
})

const vrfy = defineSimpleCommand({
  verb: 'VRFY',
  isLastInGroup: true,
  isJunk: true,
  run: (_session, text) => (text === '' ? verifyWhat : cannotVerify),
})

const helpCommand = defineSimpleCommand({ verb: 'HELP', isJunk: true, run: () => help })

const known = ['EXPN', 'ETRN', 'TURN', 'ATRN', 'SEND', 'SOML', 'SAML', 'BURL', 'XCLIENT', 'XFORWARD']

export const simpleCommands: readonly AnySmtpCommand[] = [
  rset,
  noop,
  quit,
  vrfy,
  helpCommand,
  ...known.map(verb => defineSimpleCommand({ verb, isJunk: true, run: () => notImplemented })),
]
