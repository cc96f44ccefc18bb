// The command table: verb → command. What is not in it is unknown; the verbs of HTTP end the session.

import { auth } from './command/auth.ts'
import { bdat } from './command/bdat.ts'
import { data } from './command/data.ts'
import { ehlo, helo } from './command/hello.ts'
import { mail } from './command/mail.ts'
import { rcpt } from './command/rcpt.ts'
import { simpleCommands } from './command/simple.ts'
import { starttls } from './command/starttls.ts'
import type { AnySmtpCommand } from './command.ts'

/** All commands by verb, upper case. */
export const commandTable: ReadonlyMap<string, AnySmtpCommand> = new Map(
  [ehlo, helo, mail, rcpt, data, bdat, auth, starttls, ...simpleCommands].map(c => [c.verb, c] as const),
)

/** A browser or a forged web request is on the line: nothing it says may be read as SMTP. */
export const httpVerbs: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'CONNECT',
  'OPTIONS',
  'DELETE',
  'PATCH',
  'TRACE',
  'PRI',
])
