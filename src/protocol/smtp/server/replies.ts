// The engine's own replies, as constants with the section they come from.
//
// Everything but greeting, EHLO/HELO and 3xx has an enhanced code of its class (RFC 2034, RFC 3463, RFC 5248).

import { type SmtpReply, smtpReply } from '../reply.ts'

const reply = (code: number, enhanced: string, text: string): SmtpReply =>
  Object.freeze(smtpReply(code, enhanced, text))
const lastReply = (code: number, enhanced: string, text: string): SmtpReply =>
  Object.freeze(smtpReply(code, enhanced, text, true))

export const ok: SmtpReply = reply(250, '2.0.0', 'OK')
/** RFC 5321 §3.5.3. */
export const cannotVerify: SmtpReply = reply(
  252,
  '2.5.2',
  'Cannot verify an address; send mail to it to find out',
)
export const help: SmtpReply = reply(
  214,
  '2.0.0',
  'Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT STARTTLS AUTH',
)
export const goodbye: SmtpReply = lastReply(221, '2.0.0', 'Goodbye')
export const startData: SmtpReply = reply(354, '', 'Go on; end with <CRLF>.<CRLF>')
export const startTls: SmtpReply = reply(220, '2.0.0', 'Ready to start TLS')

export const unknownCommand: SmtpReply = reply(500, '5.5.2', 'Unknown command')
export const notImplemented: SmtpReply = reply(502, '5.5.1', 'Command not implemented')
export const lineTooLong: SmtpReply = reply(500, '5.5.2', 'The command line is too long')
export const malformedLine: SmtpReply = reply(
  500,
  '5.5.2',
  'The command line has a control character or does not end with CRLF',
)
export const noParameter: SmtpReply = reply(501, '5.5.4', 'This command takes no parameter')

export const helloFirst: SmtpReply = reply(503, '5.5.1', 'Send EHLO first')
export const mailFirst: SmtpReply = reply(503, '5.5.1', 'Send MAIL first')
export const mailAlreadyGiven: SmtpReply = reply(
  503,
  '5.5.1',
  'A transaction is open already; send RSET to start anew',
)
export const noRecipients: SmtpReply = reply(503, '5.5.1', 'No recipient was accepted')
export const insideTransaction: SmtpReply = reply(503, '5.5.1', 'Not allowed inside a transaction')
export const chunksRunning: SmtpReply = reply(503, '5.5.1', 'BDAT has begun; only BDAT or RSET may follow')

/** RFC 3207 §4. */
export const tlsFirst: SmtpReply = reply(530, '5.7.0', 'Must issue a STARTTLS command first')
/** RFC 4954 §6. */
export const authFirst: SmtpReply = reply(530, '5.7.0', 'Authentication required')
/** RFC 4954 §6; sent without looking at the credentials. */
export const authNeedsTls: SmtpReply = reply(
  538,
  '5.7.11',
  'Encryption is required before AUTH; use STARTTLS',
)
export const tooManyRecipients: SmtpReply = reply(
  452,
  '4.5.3',
  'Too many recipients; send the rest in a new transaction',
)
/** RFC 1870 §6. */
export const tooBig: SmtpReply = reply(552, '5.3.4', 'The message is larger than SIZE allows')
export const tooBigAndLast: SmtpReply = lastReply(552, '5.3.4', 'The message is much larger than SIZE allows')

export const handlerFault: SmtpReply = reply(451, '4.3.0', 'Internal error; try again later')
export const draining: SmtpReply = lastReply(421, '4.3.2', 'The service is shutting down; try again later')
export const tooManyErrors: SmtpReply = lastReply(421, '4.7.0', 'Too many errors')
export const tooMuchJunk: SmtpReply = lastReply(421, '4.7.0', 'Too many commands without a message')
export const tooManyMails: SmtpReply = lastReply(
  421,
  '4.7.0',
  'Enough messages for one session; open a new one',
)
export const idleTooLong: SmtpReply = lastReply(421, '4.4.2', 'Nothing was received for too long')
export const tooSlow: SmtpReply = lastReply(421, '4.4.2', 'The content arrives too slowly')
export const sessionTooLong: SmtpReply = lastReply(
  421,
  '4.7.0',
  'The session has lasted too long; open a new one',
)
/** All sessions are taken, and this client has not shown for long who it is. */
export const crowded: SmtpReply = lastReply(
  421,
  '4.3.2',
  'The server is busy and you have not logged in; try again later',
)
export const lineFlood: SmtpReply = lastReply(500, '5.5.2', 'The line never ends')
export const earlyTalker: SmtpReply = lastReply(554, '5.5.0', 'Wait for the greeting before you send')
export const impatient: SmtpReply = lastReply(554, '5.5.0', 'Wait for the reply before you send on')
export const notSmtp: SmtpReply = lastReply(421, '4.7.0', 'This is an SMTP server')
export const tlsOnPlainPort: SmtpReply = lastReply(500, '5.5.2', 'TLS must start with STARTTLS here')
/** RFC 3207 §5: nothing received before TLS may have an effect after it. */
export const bytesAfterStartTls: SmtpReply = lastReply(
  554,
  '5.5.1',
  'Nothing may follow STARTTLS before the handshake',
)
export const tlsNotAvailable: SmtpReply = reply(454, '4.7.0', 'TLS is not available at the moment')
