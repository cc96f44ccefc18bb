// What a mail of the corpus is, and how the families of the corpus write theirs.

/** A mail as it is handed in. */
export interface Sample {
  /** Unique; says what is odd about it. */
  readonly name: string
  /** Lines end in CRLF; only the last may lack it, and then it can only be handed in with BDAT. */
  readonly content: Buffer
  readonly isEightBit: boolean
  /** UTF-8 in the header, declared with SMTPUTF8: servers without that extension cannot have it. */
  readonly isUtf8: boolean
}

export const crlf = '\r\n'

/** Header fields that every mail has unless it is about them, so that nothing needs to be added. */
export interface Standard {
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly date: string
  readonly messageId: string
}

/** The usual fields, one line each. */
export function standard(name: string): Standard {
  return {
    from: 'From: Ann <ann@acme.example>',
    to: 'To: bob@there.example',
    subject: `Subject: sample: ${name}`,
    date: 'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    messageId: `Message-ID: <${slug(name)}@acme.example>`,
  }
}

function slug(name: string): string {
  return name
    .replaceAll(/[^a-z0-9]+/gi, '-')
    .replaceAll(/^-|-$/g, '')
    .toLowerCase()
}

type Text = string | Buffer

/** A mail with the usual fields, `more` fields behind them, a blank line and a body. */
export function sample(name: string, body: Text, more: readonly Text[] = []): Sample {
  const { from, to, subject, date, messageId } = standard(name)
  return raw(name, [from, to, subject, date, messageId, 'MIME-Version: 1.0', ...more], body)
}

/** A mail with exactly these header lines, a blank line and a body. */
export function raw(name: string, header: readonly Text[], body: Text): Sample {
  return whole(name, Buffer.concat([lines(header), Buffer.from(crlf), Buffer.from(body)]))
}

/** A mail of exactly these bytes. */
export function whole(name: string, content: Buffer, isUtf8: boolean = false): Sample {
  return { name, content, isEightBit: content.some(octet => octet > 127), isUtf8 }
}

/** Each with a CRLF behind it. */
export function lines(each: readonly Text[]): Buffer {
  return Buffer.concat(each.flatMap(line => [Buffer.from(line), Buffer.from(crlf)]))
}

/** A body of lines. */
export function text(...each: readonly string[]): string {
  return each.map(line => line + crlf).join('')
}

/** Octets that look random and are the same each time (a linear congruential generator). */
export function noise(size: number, seed: number = 1): Buffer {
  const octets = Buffer.alloc(size)
  let state = seed >>> 0
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    octets[at] = state >>> 24
  }
  return octets
}

/** Base64 in lines of `width` characters. */
export function base64Lines(octets: Buffer, width: number = 76): string {
  const all = octets.toString('base64')
  const found: string[] = []
  for (let at = 0; at < all.length; at += width) found.push(all.slice(at, at + width))
  return text(...found)
}

export const eightBit: readonly string[] = [
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
]
