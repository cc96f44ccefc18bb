// A small corpus of contents that relays like to change: each must come out as the same bytes.

/** A content, CRLF line ends, ended by one. */
export interface Sample {
  readonly name: string
  readonly content: Buffer
  readonly isEightBit: boolean
}

const crlf = '\r\n'

/** Header fields that every sample has, so that nothing needs to be added. */
function header(name: string, more: readonly string[] = []): string {
  return [
    'From: Ann <ann@acme.example>',
    'To: bob@there.example',
    `Subject: sample: ${name}`,
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    `Message-ID: <${name.replaceAll(/[^a-z0-9]+/gi, '-')}@acme.example>`,
    'MIME-Version: 1.0',
    ...more,
    '',
    '',
  ].join(crlf)
}

function sample(name: string, body: string | Buffer, more: readonly string[] = []): Sample {
  const content = Buffer.concat([Buffer.from(header(name, more), 'utf8'), Buffer.from(body)])
  return { name, content, isEightBit: content.some(octet => octet > 127) }
}

/** Parts in parts: multipart/mixed, `depth` levels. */
function nested(depth: number): string {
  if (depth === 0) return `Content-Type: text/plain${crlf}${crlf}the innermost part${crlf}`
  const boundary = `level-${depth}`
  return [
    `Content-Type: multipart/mixed; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    `${nested(depth - 1)}--${boundary}--`,
    '',
  ].join(crlf)
}

function deep(depth: number): Sample {
  const [typeField, ...rest] = nested(depth).split(crlf)
  return sample('deep MIME', rest.slice(1).join(crlf), [typeField!])
}

const eightBit = ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit']
const dots = ['.', '..', '...', '.a', '..a', 'a.', ' .', '.', ''].join(crlf)
const megabyte = `${'0123456789abcdef'.repeat(4)}${crlf}`.repeat(Math.ceil(1024 / 66) * 1024)

/** The corpus. */
export const corpus: readonly Sample[] = [
  sample('plain', `Hello.${crlf}`),
  sample('lines of dots', dots),
  sample('empty body', ''),
  sample('blank lines at both ends', `${crlf}${crlf}text \t ${crlf}${crlf}${crlf}`),
  sample('UTF-8', `Grüße – 你好${crlf}`, eightBit),
  sample('octets over 127 that are no text', Buffer.from([...octetsFrom(128), 13, 10]), eightBit),
  sample('lines of 998', `${'x'.repeat(998)}${crlf}.${'y'.repeat(997)}${crlf}`),
  sample('folded and odd fields', `text${crlf}`, [
    'X-Odd:no blank',
    'X-Folded: one',
    '\ttwo',
    ' \tthree',
    'X-Empty:',
  ]),
  deep(30),
  sample('one megabyte', megabyte),
]

function octetsFrom(first: number): number[] {
  return Array.from({ length: 256 - first }, (_, index) => first + index)
}

/** Doubles dots at the beginning of lines, as DATA wants it. The final CRLF is left to the sender. */
export function stuffed(content: Buffer): Buffer {
  return Buffer.from(content.subarray(0, -2).toString('latin1').replaceAll(/^\./gm, '..'), 'latin1')
}
