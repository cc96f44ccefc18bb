// The fields that we write into a message on its way in: Received, Message-ID, Date.
//
// Place on the path: submission puts them into the prefix before the content's own header.
// Invariants: whatever a client says of itself (HELO name) or an address contains, exactly one field comes out;
// the output is ASCII unless the message is SMTPUTF8; time and ids are given.

/** What a Received field tells (RFC 5321 §4.4). */
export interface ReceivedFacts {
  /** HELO or EHLO argument as the client sent it; '' when there was none (HTTP). */
  readonly helloName: string
  /** The client's IP address; '' keeps it out of the message, and with it a HELO name that is an address. */
  readonly clientAddress: string
  /** Our name. */
  readonly hostname: string
  readonly protocol: 'smtp' | 'http'
  /** EHLO was used, not HELO. */
  readonly isExtended: boolean
  readonly hasTls: boolean
  readonly isAuthenticated: boolean
  readonly isSmtpUtf8: boolean
  /** Message id by which the log can be searched. */
  readonly id: string
  /** The recipient, only when the message has one: others must not learn of each other. '' for none. */
  readonly forwardPath: string
  /** Epoch milliseconds. */
  readonly atMs: number
}

const helloNameMax = 255
const isHostText = /^[A-Za-z0-9._:[\]-]{0,255}$/
const identifierMax = 900
const lineMax = 78

/**
 * The Received field with its CRLF, folded.
 * @param date `formatDate(facts.atMs)`, when the caller has it at hand
 */
export function buildReceived(facts: ReceivedFacts, date: string = formatDate(facts.atMs)): Buffer {
  const words: string[] = ['Received:']
  const from = fromClause(facts)
  if (from !== '') words.push(`from ${from}`)
  words.push(`by ${hostText(facts.hostname)}`, `with ${withProtocol(facts)}`, `id ${hostText(facts.id)}`)
  const forPath = forClause(facts)
  if (forPath !== '') words.push(`for <${forPath}>`)
  words[words.length - 1] += ';'
  words.push(date)
  return Buffer.from(`${fold(words)}\r\n`, 'utf8')
}

/** `with` keyword: RFC 3848 for ESMTP, RFC 6531 §4.3 for UTF8SMTP; plain SMTP has no variants. */
function withProtocol(facts: ReceivedFacts): string {
  if (facts.protocol === 'http') return 'HTTP'
  if (!facts.isExtended) return 'SMTP'
  const base = facts.isSmtpUtf8 ? 'UTF8SMTP' : 'ESMTP'
  return `${base}${facts.hasTls ? 'S' : ''}${facts.isAuthenticated ? 'A' : ''}`
}

function fromClause(facts: ReceivedFacts): string {
  const hello = hostText(facts.helloName)
  if (facts.clientAddress === '') {
    if (hello === '') return ''
    return looksLikeAddress(hello) ? 'unknown' : hello
  }
  const address = hostText(facts.clientAddress)
  const literal = address.includes(':') ? `[IPv6:${address}]` : `[${address}]`
  return hello === '' ? `unknown (${literal})` : `${hello} (${literal})`
}

function looksLikeAddress(hello: string): boolean {
  const last = hello.charCodeAt(hello.length - 1)
  return hello.includes('[') || hello.includes(':') || (last >= 0x30 && last <= 0x39)
}

/** The address, or nothing when it would put 8-bit bytes or anything unsafe into an ASCII header. */
function forClause(facts: ReceivedFacts): string {
  for (const char of facts.forwardPath) {
    const code = char.codePointAt(0)!
    if (code < 0x20 || code === 0x7f || (code > 0x7f && !facts.isSmtpUtf8)) return ''
    if (char === '\u0085' || char === '\u2028' || char === '\u2029' || code === 0xfffd) return ''
  }
  return facts.forwardPath.isWellFormed() ? facts.forwardPath : ''
}

/** Keeps what host names, address literals and ids are made of; anything else becomes `?`. */
function hostText(text: string): string {
  if (isHostText.test(text)) return text
  let kept = ''
  for (const char of text.slice(0, helloNameMax)) kept += isHostText.test(char) ? char : '?'
  return kept
}

/** Joins words; a new line begins where the present one would grow over 78 characters. */
function fold(words: readonly string[]): string {
  let text = words[0]!
  let column = text.length
  for (const word of words.slice(1)) {
    const isTooLong = column + 1 + word.length > lineMax
    text += isTooLong ? `\r\n\t${word}` : ` ${word}`
    column = isTooLong ? 8 + word.length : column + 1 + word.length
  }
  return text
}

/** Date and time of RFC 5322 §3.3 in UTC, such as `Mon, 23 Nov 2026 08:05:09 +0000`. */
export function formatDate(atMs: number): string {
  return new Date(atMs).toUTCString().replace('GMT', '+0000')
}

/** A Date field with its CRLF. */
export function formatDateField(atMs: number): Buffer {
  return Buffer.from(`Date: ${formatDate(atMs)}\r\n`, 'latin1')
}

/** A message id in angle brackets from parts of ours; what is not allowed in one becomes `-`. */
export function formatMessageIdentifier(unique: string, hostname: string): string {
  return `<${identifierText(unique)}@${identifierText(hostname)}>`
}

function identifierText(text: string): string {
  return text.slice(0, helloNameMax).replace(/[^A-Za-z0-9._-]/g, '-')
}

/** A Message-ID field with its CRLF; `identifier` has its angle brackets. Unsafe characters become `-`. */
export function formatMessageIdField(identifier: string): Buffer {
  const safe = identifier.slice(0, identifierMax).replace(/[^\x21-\x7e]/g, '-')
  return Buffer.from(`Message-ID: ${safe}\r\n`, 'latin1')
}
