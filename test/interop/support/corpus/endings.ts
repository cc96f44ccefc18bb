// How a mail ends, and how little of it there can be.

import { crlf, lines, type Sample, sample, standard, text, whole } from './sample.ts'

const header = (name: string): Buffer => lines(Object.values(standard(name)))

function ended(name: string, end: string): Sample {
  return whole(name, Buffer.concat([header(name), Buffer.from(end)]))
}

/** From and nothing else. */
function onlyFrom(name: string, end: string): Sample {
  return whole(name, Buffer.from(`From: ann@acme.example${crlf}${end}`))
}

export const endings: readonly Sample[] = [
  sample('plain', text('Hello.')),
  ended('only a header, without the blank line', ''),
  ended('only a header and the blank line', crlf),
  ended('a body of one empty line', crlf + crlf),
  ended('a body of a hundred empty lines', crlf.repeat(101)),
  ended('a body of one blank', `${crlf} ${crlf}`),
  ended('a body of one tab', `${crlf}\t${crlf}`),
  ended('a body of one letter', `${crlf}x${crlf}`),
  onlyFrom('only From, without the blank line', ''),
  onlyFrom('only From and the blank line', crlf),
  onlyFrom('only From and a body', `${crlf}Neither date nor subject.${crlf}`),
  sample('empty lines at both ends', `${crlf}${crlf}text \t ${crlf}${crlf}${crlf}`),
  sample('blanks before every line end', text('one ', 'two\t', 'three \t ', ' ', '\t', '')),
  sample('a body that ends in many blanks', text('text', ' '.repeat(500))),
  // Without the last line end: only BDAT can say this.
  ended('no line end behind the body', `${crlf}text without an end`),
  ended('no line end behind a last dot', `${crlf}text${crlf}.`),
  ended('no line end behind a dotted line', `${crlf}text${crlf}..two`),
  ended('no line end behind a blank', `${crlf}text${crlf} `),
  ended('no line end behind one letter', `${crlf}x`),
  ended('no line end behind 998 octets', `${crlf}${'x'.repeat(998)}`),
  ended('no line end behind the header', 'X-Last: without an end'),
  ended('a body that begins with an empty line and has no end', `${crlf}${crlf}text`),
]
