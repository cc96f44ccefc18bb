// Mails that a door changes when it is told to: lines that are too long (`long_lines = "encode"`), and lines that end in
// LF alone (`bare_lf = "mend"`).

import { crlf, eightBit, noise, raw, type Sample, sample, standard, text } from './sample.ts'

const long = (size: number): string => 'word '.repeat(Math.ceil(size / 5)).slice(0, size)
const html = ['Content-Type: text/html; charset=utf-8', 'Content-Transfer-Encoding: 8bit']

/** All of one part, so that what they say can be compared before and after. */
export const tooLong: readonly Sample[] = [
  sample('a line of 999 octets', text(long(999))),
  sample('a line of 5,000 octets without blanks', text('x'.repeat(5000))),
  sample('a long line that begins and ends oddly', text(`.${long(2000)} `, '.', `${long(2000)}\t`, '')),
  sample('HTML of 200 KiB in one line', text(`<p>${long(200_000)}</p>`), html),
  sample('a long line of UTF-8', text('Grüße – 你好 '.repeat(500)), eightBit),
  sample('base64 in one line of 20,000 octets', text(noise(15_000, 9).toString('base64')), [
    'Content-Transfer-Encoding: base64',
  ]),
  sample('quoted-printable with a long line', text(`=C3=BC${'=20x'.repeat(500)}`, 'end=20'), [
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
  ]),
  sample(
    'a long line behind a thousand short ones',
    text(...Array.from({ length: 1000 }, () => 'short'), long(3000)),
  ),
]

const withLf = (one: Sample): Sample => ({
  ...one,
  content: Buffer.concat([
    Buffer.from(one.content.toString('latin1').replaceAll(crlf, '\n'), 'latin1'),
    Buffer.from(crlf),
  ]),
})

/** Every LF alone becomes CRLF, and nothing else changes. */
export const bareLf: readonly Sample[] = [
  withLf(sample('all lines end in LF', text('one', 'two ', '', 'three'))),
  withLf(sample('folds that end in LF', text('text'), ['X-Folded: one', '\ttwo', ' three'])),
  withLf(sample('dots between LF', text('one', '.', '..', '.x', 'end'))),
  withLf(sample('UTF-8 with LF', text('Grüße', '你好'), eightBit)),
  sample('some lines end in LF', `one\ntwo${crlf}\n\n three\n${crlf}`),
  raw('a header with CRLF and a body with LF', Object.values(standard('mixed')), `one\n.\ntwo\n\n${crlf}`),
  withLf(
    sample(
      'ten thousand lines that end in LF',
      text(...Array.from({ length: 10_000 }, (_, row) => `row ${row}`)),
    ),
  ),
]
