// The corpus of odd mails is what it is said to be: so many, all different, and of every kind.
//
// Kinds are looked for in the bytes themselves, not in names: `receivers.test.ts` sends exactly these bytes.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { corpus, ended, largest, type Sample, stuffed } from './support/corpus/index.ts'
import { standard } from './support/corpus/sample.ts'

const samplesMin = 150

interface Mail extends Sample {
  /** An octet a character. */
  readonly text: string
  /** With the last line end, without the blank line. */
  readonly header: string
  readonly body: string
}

const mails: readonly Mail[] = corpus.map(sample => {
  const text = sample.content.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  return {
    ...sample,
    text,
    header: end < 0 ? text : text.slice(0, end + 2),
    body: end < 0 ? '' : text.slice(end + 4),
  }
})

const lineLengths = (text: string): number[] => text.split('\r\n').map(line => line.length)

/** How many parts are open at once at the deepest place; a boundary a level. */
function depth({ text }: Mail): number {
  const open: string[] = []
  let deepest = 0
  for (const line of text.split('\r\n')) {
    const boundary = /^Content-Type: multipart\/.*boundary="?([^";]+)/i.exec(line)?.[1]
    if (boundary !== undefined) deepest = Math.max(deepest, open.push(boundary))
    else if (line === `--${open.at(-1)}--`) open.pop()
  }
  return deepest
}

/** Kinds as the issue names them: what shows one, and how many there must be. */
const kinds: readonly (readonly [kind: string, atLeast: number, is: (mail: Mail) => boolean])[] = [
  ['8-bit body', 20, ({ body }) => /[\x80-\xff]/.test(body)],
  ['8-bit header', 4, ({ header }) => /[\x80-\xff]/.test(header)],
  ['8-bit that is no UTF-8', 8, ({ content }) => !isUtf8(content)],
  ['a body line of 998 octets', 6, ({ body }) => lineLengths(body).includes(998)],
  ['a header line of 998 octets', 3, ({ header }) => lineLengths(header).includes(998)],
  ['MIME, 10 deep', 4, mail => depth(mail) >= 10],
  ['MIME, 90 deep', 2, mail => depth(mail) >= 90],
  ['MIME, 300 deep', 1, mail => depth(mail) >= 300],
  ['an empty part', 1, ({ body }) => /^--(\S+)\r\n\r\n--\1/m.test(body)],
  ['a part without a body', 1, ({ body }) => /^--(\S+)\r\n(?:[\w-]+:.*\r\n)+(?:\r\n)?--\1/m.test(body)],
  ['no part at all', 1, ({ body }) => /^--(\S+)--\r\n$/.test(body)],
  ['blanks before a colon', 1, ({ header }) => /^[\w-]+[ \t]+:/m.test(header)],
  ['no blank behind a colon', 2, ({ header }) => /^[\w-]+:[^ \t\r]/m.test(header)],
  ['an empty field', 2, ({ header }) => /^[\w-]+:[ \t]*\r\n(?![ \t])/m.test(header)],
  ['a fold of blanks alone', 2, ({ header }) => /^[ \t]+\r$/m.test(header)],
  ['a name of odd characters', 1, ({ header }) => /^[\w-]*[!#$%&'*+./^`{|}~][^\s:]*:/m.test(header)],
  ['a header of hundreds of fields', 2, ({ header }) => header.split('\r\n').length > 500],
  ['a header over 64 KiB', 2, ({ header }) => header.length > 65_536],
  ['a field twice', 4, ({ header }) => /^(Subject|Date|To|Message-ID|X-Same):[\s\S]*^\1:/im.test(header)],
  ['no Date', 2, ({ header }) => !/^Date:/im.test(header)],
  ['no Message-ID', 2, ({ header }) => !/^Message-ID:/im.test(header)],
  ['a line that begins with a dot', 30, ({ body }) => /^\./m.test(body)],
  ['a line of one dot', 10, ({ body }) => /^\.\r$/m.test(body)],
  ['a header line that begins with a dot', 2, ({ header }) => /^\./m.test(header)],
  ['dots that DATA has to double', 30, isStuffed],
  ['no body, and no blank line', 2, ({ text }) => !text.includes('\r\n\r\n')],
  [
    'no body behind the blank line',
    2,
    ({ text }) => /\r\n\r\n$/.test(text) && text.split('\r\n\r\n').length === 2,
  ],
  ['no line end at its end', 5, ({ text }) => !text.endsWith('\r\n')],
  ['control characters', 4, ({ text }) => /[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text)],
  ['a megabyte', 2, ({ content }) => content.length >= 1024 * 1024],
]

function isUtf8(content: Buffer): boolean {
  return Buffer.from(content.toString('utf8')).equals(content)
}

/** Doubling changes the mail and undoing it gives the mail back. */
function isStuffed({ content }: Mail): boolean {
  const wire = `${stuffed(ended(content)).toString('latin1')}\r\n`
  const back = wire.replaceAll(/(^|\r\n)\.\./g, '$1.')
  return wire !== back && back === ended(content).toString('latin1')
}

const digest = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')

test(`the corpus holds at least ${samplesMin} mails, each with a name of its own`, () => {
  assert.ok(corpus.length >= samplesMin, String(corpus.length))
  assert.equal(new Set(corpus.map(one => one.name)).size, corpus.length)
})

test('no two mails of the corpus are the same but for subject and message id', () => {
  const seen = new Map<string, string>()
  const doubles: string[] = []
  for (const { name, text } of mails) {
    const { subject, messageId } = standard(name)
    const bare = text.replace(subject, 'Subject:').replace(messageId, 'Message-ID:')
    const key = digest(Buffer.from(bare, 'latin1'))
    if (seen.has(key)) doubles.push(`${name} is ${seen.get(key)}`)
    seen.set(key, name)
  }
  assert.deepEqual(doubles, [])
})

for (const [kind, atLeast, is] of kinds)
  test(`the corpus has at least ${atLeast} of the kind: ${kind}`, () => {
    const found = mails.filter(is).map(one => one.name)
    assert.ok(found.length >= atLeast, `${found.length}: ${found.join('; ')}`)
  })

test('no mail of the corpus would be refused for the length of its lines, or declares less than it is', () => {
  for (const { name, text, isEightBit } of mails) {
    assert.ok(Math.max(...lineLengths(text)) <= 998, name)
    assert.equal(isEightBit, /[\x80-\xff]/.test(text), name)
  }
})

test('the largest mail has 25 MiB', () => {
  assert.equal(largest().content.length, 25 * 1024 * 1024)
})
