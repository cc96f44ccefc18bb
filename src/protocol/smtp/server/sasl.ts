// AUTH PLAIN (RFC 4616) and AUTH LOGIN: the dialogue and the decoding, without judging anybody.
//
// Passwords stay in the returned value only. Base64 is strict: what two decoders could read differently is refused.

import { isUtf8 } from 'node:buffer'
import { type SmtpReply, smtpReply } from '../reply.ts'
import type { SaslCredentials } from './handler.ts'

/** What follows a line of the dialogue. */
export type SaslStep =
  | { readonly kind: 'reply'; readonly reply: SmtpReply }
  | { readonly kind: 'credentials'; readonly credentials: SaslCredentials }

/** Longest name or password in octets after decoding (RFC 4616 §2). */
const partBytesMax = 255

const badBase64: SaslStep = {
  kind: 'reply',
  reply: smtpReply(501, '5.5.2', 'The response is not valid base64'),
}
const badResponse: SaslStep = { kind: 'reply', reply: smtpReply(501, '5.5.2', 'The response is malformed') }
const cancelled: SaslStep = { kind: 'reply', reply: smtpReply(501, '5.7.0', 'Authentication cancelled') }
const otherIdentity: SaslStep = {
  kind: 'reply',
  reply: smtpReply(535, '5.7.8', 'The authorization identity must be empty or the user name'),
}
const challenge = (text: string): SaslStep => ({
  kind: 'reply',
  reply: smtpReply(334, '', Buffer.from(text).toString('base64')),
})
const askAnything = challenge('')
const askUsername = challenge('Username:')
const askPassword = challenge('Password:')

const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/

function decodeBase64(text: string): Buffer | null {
  if (text.length % 4 !== 0 || !base64Pattern.test(text)) return null
  const bytes = Buffer.from(text, 'base64')
  // Unused bits that are not zero would be a second spelling of the same octets.
  return bytes.toString('base64') === text ? bytes : null
}

/** A name or password; null when it is too long, not UTF-8, or has a NUL. */
function decodePart(bytes: Buffer): string | null {
  if (bytes.length > partBytesMax || bytes.includes(0) || !isUtf8(bytes)) return null
  return bytes.toString('utf8')
}

/** One AUTH dialogue. */
export class SaslDialogue {
  readonly #mechanism: SaslCredentials['mechanism']
  #username: string | null = null

  constructor(mechanism: SaslCredentials['mechanism']) {
    this.#mechanism = mechanism
  }

  /** Begins; `initial` is the initial response of the AUTH line (`=` for an empty one), null when absent. */
  start(initial: string | null): SaslStep {
    if (initial !== null) return this.next(initial === '=' ? '' : initial, true)
    return this.#mechanism === 'PLAIN' ? askAnything : askUsername
  }

  /** Takes one line of the client. */
  next(line: string, isInitial = false): SaslStep {
    if (line === '*' && !isInitial) return cancelled
    const bytes = decodeBase64(line)
    if (bytes === null) return badBase64
    return this.#mechanism === 'PLAIN' ? this.#plain(bytes) : this.#login(bytes)
  }

  #plain(bytes: Buffer): SaslStep {
    const first = bytes.indexOf(0)
    const second = first < 0 ? -1 : bytes.indexOf(0, first + 1)
    if (second < 0) return badResponse
    const authorizationId = decodePart(bytes.subarray(0, first))
    const username = decodePart(bytes.subarray(first + 1, second))
    const password = decodePart(bytes.subarray(second + 1))
    if (authorizationId === null || username === null || password === null) return badResponse
    if (username === '' || password === '') return badResponse
    if (authorizationId !== '' && authorizationId !== username) return otherIdentity
    return { kind: 'credentials', credentials: { mechanism: 'PLAIN', authorizationId, username, password } }
  }

  #login(bytes: Buffer): SaslStep {
    const text = decodePart(bytes)
    if (text === null || text === '') return badResponse
    if (this.#username === null) {
      this.#username = text
      return askPassword
    }
    return {
      kind: 'credentials',
      credentials: { mechanism: 'LOGIN', authorizationId: '', username: this.#username, password: text },
    }
  }
}
