// What a receiver refuses that takes its own EHLO at its word: parameters, bytes and sizes beyond what it offered.
//
// Used by the receiver of the tests when it is strict. A reply is given as real servers give it; null: nothing is wrong.

/** What an EHLO offered. */
export class Offer {
  readonly #words: ReadonlySet<string>
  /** Named with SIZE; 0: no limit. */
  readonly #sizeBytesMax: number

  constructor(keywords: readonly string[]) {
    const words = keywords.map(one => one.toUpperCase().split(' '))
    this.#words = new Set(words.map(([word = '']) => word))
    this.#sizeBytesMax = Number(words.find(([word]) => word === 'SIZE')?.[1] ?? 0)
  }

  has(word: string): boolean {
    return this.#words.has(word)
  }

  isTooLarge(sizeBytes: number): boolean {
    return this.#sizeBytesMax > 0 && sizeBytes > this.#sizeBytesMax
  }
}

/** Extension that each parameter belongs to. */
const mailParameters: Readonly<Record<string, string>> = {
  SIZE: 'SIZE',
  BODY: '8BITMIME',
  SMTPUTF8: 'SMTPUTF8',
  RET: 'DSN',
  ENVID: 'DSN',
  AUTH: 'AUTH',
  REQUIRETLS: 'REQUIRETLS',
}
const rcptParameters: Readonly<Record<string, string>> = { NOTIFY: 'DSN', ORCPT: 'DSN' }

const tooLarge = '552 5.3.4 Message size exceeds fixed limit'
const notAscii = (text: string): boolean => /[^\0-\x7f]/.test(text)

interface Parsed {
  readonly path: string
  readonly parameters: ReadonlyMap<string, string>
}

function parse(line: string): Parsed | null {
  const found = /^(?:MAIL FROM|RCPT TO):<(.*)>((?: \S+)*)$/i.exec(line)
  if (found === null) return null
  const [, path = '', rest = ''] = found
  const pairs = rest.split(' ').filter(one => one !== '')
  const parameters = pairs.map(one => {
    const [name = '', value = ''] = one.split('=', 2)
    return [name.toUpperCase(), value] as const
  })
  return { path, parameters: new Map(parameters) }
}

function refusedParameter(
  { parameters }: Parsed,
  known: Readonly<Record<string, string>>,
  offer: Offer,
): string | null {
  for (const [name, value] of parameters)
    if (!offer.has(known[name] ?? '')) return `555 5.5.4 Unsupported option: ${name}=${value}`
  return null
}

/** RFC 5321 §4.1.1.11: 555 for a parameter that is not known; RFC 1870 §6: 552 for a size above the limit. */
export function refusedMail(line: string, offer: Offer): string | null {
  const parsed = parse(line)
  if (parsed === null) return '501 5.5.4 Syntax: MAIL FROM:<address>'
  const refused = refusedParameter(parsed, mailParameters, offer)
  if (refused !== null) return refused
  const { path, parameters } = parsed
  const size = parameters.get('SIZE')
  if (size !== undefined && !/^\d{1,20}$/.test(size)) return '501 5.5.4 Bad message size syntax'
  if (size !== undefined && offer.isTooLarge(Number(size))) return tooLarge
  const body = parameters.get('BODY')?.toUpperCase()
  if (body !== undefined && body !== '7BIT' && body !== '8BITMIME') return '501 5.5.4 Bad body type'
  if (notAscii(path) && !parameters.has('SMTPUTF8')) return '553 5.6.7 Address requires SMTPUTF8'
  return null
}

/** `mail` is the MAIL line of the transaction. */
export function refusedRcpt(line: string, mail: string, offer: Offer): string | null {
  const parsed = parse(line)
  if (parsed === null) return '501 5.5.4 Syntax: RCPT TO:<address>'
  const refused = refusedParameter(parsed, rcptParameters, offer)
  if (refused !== null) return refused
  const isUtf8 = parse(mail)?.parameters.has('SMTPUTF8') === true
  return notAscii(parsed.path) && !isUtf8 ? '553 5.6.7 Address requires SMTPUTF8' : null
}

/** `content` as it came, an octet a character. Its header must be ASCII without SMTPUTF8 (RFC 6531 §3.6). */
export function refusedContent(content: string, mail: string, offer: Offer): string | null {
  if (offer.isTooLarge(content.length)) return tooLarge
  if (!notAscii(content)) return null
  const parameters = parse(mail)?.parameters
  if (parameters?.get('BODY')?.toUpperCase() !== '8BITMIME')
    return '554 5.6.1 8-bit content without BODY=8BITMIME'
  const end = content.indexOf('\r\n\r\n')
  const header = end < 0 ? content : content.slice(0, end)
  if (notAscii(header) && !parameters.has('SMTPUTF8')) return '554 5.6.7 8-bit header without SMTPUTF8'
  return null
}

/** Nothing may follow a command before its answer where PIPELINING was not offered (RFC 2920 §3.1). */
export function refusedPipeline(offer: Offer): string | null {
  return offer.has('PIPELINING') ? null : '503 5.5.0 Improper command pipelining'
}
