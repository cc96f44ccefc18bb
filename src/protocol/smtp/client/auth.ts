// The client's half of SASL PLAIN (RFC 4616) and LOGIN, as steps for the handshake.
//
// Each mechanism is a list of lines: the AUTH command, then one answer for each 334 of the peer.
// The lines hold the password: they are never logged and never part of an error.

import type { ClientCredentials } from './options.ts'

/** Longest command line every peer takes (RFC 5321 §4.5.3.1.4), without CRLF. */
const COMMAND_BYTES_MAX = 510

/** What to send: the command and an answer to each 334. */
export interface AuthPlan {
  readonly mechanism: 'PLAIN' | 'LOGIN'
  readonly command: string
  readonly answers: readonly string[]
}

/** The best mechanism both sides know, or why there is none. */
export function planAuth(
  credentials: ClientCredentials,
  offered: readonly string[],
): AuthPlan | { readonly code: string; readonly message: string } {
  const { username, password } = credentials
  if (username.includes('\0') || password.includes('\0')) {
    return { code: 'BAD_CREDENTIALS', message: 'the user name or password for the peer has a NUL character' }
  }
  if (offered.includes('PLAIN')) {
    const response = base64(`\0${username}\0${password}`)
    const command = `AUTH PLAIN ${response}`
    if (command.length <= COMMAND_BYTES_MAX) return { mechanism: 'PLAIN', command, answers: [] }
    return { mechanism: 'PLAIN', command: 'AUTH PLAIN', answers: [response] }
  }
  if (offered.includes('LOGIN')) {
    return { mechanism: 'LOGIN', command: 'AUTH LOGIN', answers: [base64(username), base64(password)] }
  }
  return {
    code: 'AUTH_NOT_OFFERED',
    message:
      offered.length === 0
        ? 'the peer offers no AUTH, but credentials are configured for it'
        : `the peer offers AUTH ${offered.join(' ')}, but we speak PLAIN and LOGIN only`,
  }
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
