// Writes MAIL and RCPT commands (RFC 5321 §4.1.1, RFC 1870, RFC 6152, RFC 6531, RFC 3461).
//
// Every path is checked before it is put into a command: nothing that could end the command or begin another parameter
// gets through, whoever let it in before. A parameter is written only when the peer offers its extension.

import { encodeXtext } from '../grammar/index.ts'
import type { PeerCapabilities } from './capabilities.ts'
import type { SmtpTransaction, TransactionRecipient } from './transaction-types.ts'

/** Why an envelope cannot be sent to this peer; nothing was written. */
export interface EnvelopeRefusal {
  readonly code: string
  readonly message: string
}

/** One command a line, CRLF included: MAIL first, then RCPT in the order of the recipients. */
export interface EnvelopeCommands {
  readonly commands: readonly string[]
  readonly isUtf8: boolean
}

const PLAIN_PATH = /^[!#-;=?-~]*$/
const ASCII = /^[\x00-\x7f]*$/
const ENVELOPE_ID_MAX = 100
const NOTIFY_WORDS = ['SUCCESS', 'FAILURE', 'DELAY'] as const

/** Builds the commands, or says why this envelope must not or cannot go to this peer. */
export function envelopeCommands(
  transaction: SmtpTransaction,
  sizeBytes: number,
  peer: PeerCapabilities,
): EnvelopeCommands | EnvelopeRefusal {
  const { parameters, recipients, reversePath } = transaction
  const refusal =
    peerRefusal(transaction, sizeBytes, peer) ??
    pathRefusal(reversePath, 'reverse-path', parameters.isSmtpUtf8)
  if (refusal !== null) return refusal
  const commands = [mailCommand(transaction, sizeBytes, peer)]
  for (const recipient of recipients) {
    const why = pathRefusal(recipient.forwardPath, 'forward-path', parameters.isSmtpUtf8)
    if (why !== null) return why
    commands.push(rcptCommand(recipient, peer.hasDsn))
  }
  return { commands, isUtf8: parameters.isSmtpUtf8 }
}

function peerRefusal(
  { parameters, recipients }: SmtpTransaction,
  sizeBytes: number,
  peer: PeerCapabilities,
): EnvelopeRefusal | null {
  if (recipients.length === 0) return { code: 'NO_RECIPIENTS', message: 'the transaction has no recipients' }
  if (parameters.isSmtpUtf8 && !peer.hasSmtpUtf8) {
    return {
      code: 'PEER_LACKS_SMTPUTF8',
      message: 'the message needs SMTPUTF8, which the peer does not offer',
    }
  }
  if (parameters.isEightBit && !peer.hasEightBitMime) {
    return {
      code: 'PEER_LACKS_8BITMIME',
      message: 'the content is 8-bit, and the peer does not offer 8BITMIME',
    }
  }
  if (peer.sizeBytesMax !== null && sizeBytes > peer.sizeBytesMax) {
    const message = `the message has ${sizeBytes} bytes, the peer takes ${peer.sizeBytesMax}`
    return { code: 'SIZE_EXCEEDED', message }
  }
  return null
}

function mailCommand(
  { parameters, reversePath }: SmtpTransaction,
  sizeBytes: number,
  peer: PeerCapabilities,
): string {
  let command = `MAIL FROM:<${reversePath}>`
  if (peer.hasSize) command += ` SIZE=${sizeBytes}`
  if (parameters.isEightBit) command += ' BODY=8BITMIME'
  if (parameters.isSmtpUtf8) command += ' SMTPUTF8'
  if (peer.hasDsn) {
    if (parameters.ret !== undefined) command += ` RET=${parameters.ret === 'FULL' ? 'FULL' : 'HDRS'}`
    const envelopeId = parameters.envelopeId
    if (envelopeId !== undefined && envelopeId !== '' && envelopeId.length <= ENVELOPE_ID_MAX) {
      command += ` ENVID=${encodeXtext(envelopeId)}`
    }
  }
  return `${command}\r\n`
}

function rcptCommand(
  { forwardPath, notify, originalRecipient }: TransactionRecipient,
  hasDsn: boolean,
): string {
  let command = `RCPT TO:<${forwardPath}>`
  if (hasDsn) {
    if (notify !== undefined)
      command += ` NOTIFY=${NOTIFY_WORDS.filter(word => notify.includes(word)).join(',') || 'NEVER'}`
    if (originalRecipient !== undefined) command += ` ORCPT=${originalRecipientText(originalRecipient)}`
  }
  return `${command}\r\n`
}

/** `type;address` with the address in xtext; in RFC 6533 §3 form when that is its type, or it is not ASCII. */
function originalRecipientText({ type, address }: { type: string; address: string }): string {
  if (type.toLowerCase() === 'utf-8' || !ASCII.test(address)) return `utf-8;${utf8AddressXtext(address)}`
  return `${encodeXtext(type)};${encodeXtext(address)}`
}

function utf8AddressXtext(address: string): string {
  let text = ''
  for (const character of address) {
    const isPlain = /^[!-*,-<>-[\]-~]$/.test(character)
    text += isPlain ? character : `\\x{${character.codePointAt(0)!.toString(16).toUpperCase()}}`
  }
  return text
}

/** Refuses what would not stay inside the angle brackets. */
function pathRefusal(path: string, what: string, isUtf8Allowed: boolean): EnvelopeRefusal | null {
  if (PLAIN_PATH.test(path)) return path === '' && what === 'forward-path' ? emptyForwardPath : null
  const refuse = (why: string): EnvelopeRefusal => ({
    code: 'UNSAFE_PATH',
    message: `the ${what} ${JSON.stringify(path.slice(0, 320))} ${why}; nothing was sent`,
  })
  if (!path.isWellFormed()) return refuse('is not valid Unicode')
  let isQuoted = false
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at)
    const character = path[at]!
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return refuse('has a control character')
    if (code > 0x7f && !isUtf8Allowed)
      return refuse('has non-ASCII characters, but SMTPUTF8 is not asked for')
    if (character === '"') isQuoted = !isQuoted
    else if (isQuoted && character === '\\') {
      at++
      const escaped = path.charCodeAt(at)
      if (!(escaped >= 0x20 && escaped < 0x7f)) return refuse('has a bad escape in its quoted local part')
    } else if (!isQuoted && (character === ' ' || character === '<' || character === '>')) {
      return refuse(`has ${character === ' ' ? 'a space' : `"${character}"`} outside quotes`)
    }
  }
  return isQuoted ? refuse('has an open quote') : null
}

const emptyForwardPath: EnvelopeRefusal = {
  code: 'UNSAFE_PATH',
  message: 'a forward-path is empty; nothing was sent',
}
