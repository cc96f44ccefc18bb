// Lines at the limit of 998 octets, and octets in them that few expect. Longer lines are refused at the door.

import { eightBit, type Sample, sample, text } from './sample.ts'

/** Control characters that a mail may have: all but NUL, LF and CR. */
const controls = Array.from({ length: 32 }, (_, code) => code).filter(code => ![0, 10, 13].includes(code))

export const longLines: readonly Sample[] = [
  sample('one line of 998 octets', text('x'.repeat(998))),
  sample('one line of 997 octets', text('x'.repeat(997))),
  sample('lines of 998 octets, one with a dot', text('x'.repeat(998), `.${'y'.repeat(997)}`)),
  sample('two hundred lines of 998 octets', text(...Array.from({ length: 200 }, () => 'z'.repeat(998)))),
  sample(
    'lines of every length up to 998',
    text(...Array.from({ length: 998 }, (_, size) => 'a'.repeat(size))),
  ),
  sample('998 octets over 127', text('é'.repeat(499)), eightBit),
  sample('998 blanks', text(' '.repeat(998), 'end')),
  sample('998 tabs', text('\t'.repeat(998), 'end')),
  sample('a field of 998 octets', text('text'), [`X-Long: ${'v'.repeat(990)}`]),
  sample('a field folded into lines of 998 octets', text('text'), [
    `X-Long: ${'v'.repeat(990)}`,
    ` ${'w'.repeat(997)}`,
    `\t${'x'.repeat(997)}`,
  ]),
  sample('a field of 998 octets with blanks to fold at', text('text'), [
    `X-Words: ${'word '.repeat(197)}last`,
  ]),
  sample('control characters', text(String.fromCharCode(...controls), 'end')),
  sample(
    'DEL, escape sequences and bells',
    text('\x7f\x7f', '\x1b[31mred\x1b[0m', '\x07\x07', '\x1b]0;title\x07'),
  ),
  sample('form feeds and vertical tabs', text('\f', '\v', 'page\f', '\fpage', '\v\v')),
  sample('substitute and end of transmission', text('\x1a', '\x04', 'behind')),
  sample('backspaces', text('a\bb\bc', '\b\b\b')),
  sample(
    'lines that begin with From',
    text('From ann@acme.example Mon Nov 23 10:00:00 2026', '>From x', '', 'From y'),
  ),
  sample('a From line as the first of the body', text('From the beginning', 'to the end')),
  sample('signature dashes', text('text', '-- ', 'Ann', '--', '---', '----')),
  sample(
    'format=flowed with stuffed blanks',
    text(' From here ', '  two ', '> quoted ', ' > not quoted', 'end'),
    ['Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes'],
  ),
]
