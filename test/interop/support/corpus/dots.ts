// Dots wherever a line can begin, for they are what SMTP changes on the way: doubled by who sends, undone by who reads.

import { crlf, lines, noise, raw, type Sample, sample, standard, text, whole } from './sample.ts'

/** A dot at the beginning of a line that starts `offset` octets into the content: where buffers end. */
function dotAt(offset: number): Sample {
  const name = `a line of one dot ${offset} octets into the content`
  const start = sample(name, '')
  const missing = offset - start.content.length
  const row = `${'0123456789abcdef'.repeat(4)}${crlf}`
  // Rows of 66 octets, then two that fill up to the offset; neither is shorter than a line end.
  const rows = row.repeat(Math.max(0, Math.floor(missing / 66) - 1))
  const rest = missing - rows.length - crlf.length
  return sample(name, `${rows}${'x'.repeat(rest)}${crlf}.${crlf}..${crlf}.x${crlf}behind the dots${crlf}`)
}

const fields = Object.values(standard('dots in the header'))

export const dots: readonly Sample[] = [
  sample('a body of one dot', text('.')),
  sample('a body of two dots', text('..')),
  sample('a body of three dots', text('...')),
  sample('lines of dots', text('.', '..', '...', '.a', '..a', 'a.', ' .', '.', '')),
  sample('a dot as the first octet of the body', text('.first', 'second')),
  sample('a dot as the last line', text('first', '.')),
  sample('a dot before each of many lines', text(...Array.from({ length: 500 }, (_, row) => `.${row}`))),
  sample('nothing but lines of one dot', text(...Array.from({ length: 1000 }, () => '.'))),
  sample('a line of 998 dots', text('.'.repeat(998), 'behind')),
  sample('a dotted line that is longest when its dot is doubled', text(`.${'x'.repeat(997)}`)),
  sample('a dot and a blank', text('. ', '.\t', ' .', '\t.', '. .')),
  sample('a dot between empty lines', text('', '.', '', '.', '', '')),
  sample('a dot behind an empty body start', text('', '', '.')),
  sample(
    'what looks like the end and a second mail',
    text('..', 'QUIT', '.', 'MAIL FROM:<eve@evil.example>', 'RCPT TO:<bob@there.example>', 'DATA', '.', ''),
  ),
  sample(
    'lines that look like SMTP commands',
    text('RSET', 'QUIT', 'DATA', 'NOOP', 'BDAT 10 LAST', 'STARTTLS'),
  ),
  raw('a header field whose name begins with a dot', [...fields, '.X-Dotted: yes', '..X: two'], text('text')),
  raw('a header field whose value is a dot', [...fields, 'X-Dot: .', 'X-Fold: .', ' .', '\t.'], text('.')),
  whole(
    'a header that ends in a dotted field, and no body',
    Buffer.concat([lines([...Object.values(standard('dotted end')), '.X-Last: .']), Buffer.from(crlf)]),
  ),
  ...[512, 1023, 1460, 4095, 4096, 8191, 16_383, 16_384, 16_385, 32_768, 65_533, 65_535, 65_536, 65_537].map(
    dotAt,
  ),
  ...[262_144, 1_048_575].map(dotAt),
  sample(
    'base64 between dots',
    text('.', noise(48).toString('base64'), '.', `.${noise(30).toString('base64')}`),
  ),
]
