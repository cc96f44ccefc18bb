// How header fields can be written: colons, folds, blanks, order, number and size. Their meaning does not matter here.

import { raw, type Sample, sample, standard, text } from './sample.ts'

const body = text('text')

function counted(count: number, write: (index: number) => string): string[] {
  return Array.from({ length: count }, (_, index) => write(index))
}

/** The usual fields as an array to rearrange. */
function usual(name: string): string[] {
  return Object.values(standard(name))
}

/** With one of the usual fields left out. */
function without(name: string, ...left: readonly (keyof ReturnType<typeof standard>)[]): Sample {
  const kept = Object.entries(standard(name)).filter(([key]) => !left.includes(key as (typeof left)[number]))
  return raw(
    name,
    kept.map(([, line]) => line),
    body,
  )
}

export const headerForms: readonly Sample[] = [
  sample('no blank behind the colon', body, ['X-Odd:no blank', 'Comments:none']),
  sample('many blanks behind the colon', body, ['X-Odd:     many', 'X-Tab:\ttab', 'X-Mixed: \t \tmixed']),
  sample('blanks before the colon', body, ['X-Old : obsolete', 'X-Tab\t: tab']),
  sample('blanks at the end of fields', body, ['X-End: value   ', 'X-Tab: value\t', 'X-Mixed: value \t ']),
  sample('empty fields', body, ['X-Empty:', 'X-Blank: ', 'X-Tab:\t', 'Comments:']),
  sample('folds with blanks and tabs', body, [
    'X-Folded: one',
    '\ttwo',
    ' \tthree',
    '        four',
    '\t\t\tfive',
  ]),
  sample('a field that begins on its second line', body, ['X-Late:', ' value', 'X-Later: ', '\tvalue']),
  sample('a fold of blanks alone', body, ['X-Folded: one', ' ', ' two', 'X-Blank:', ' \t ', ' value']),
  sample('a field that ends in a fold of blanks alone', body, ['X-Folded: one', '  ']),
  sample('a field of a thousand folds', body, ['X-Many: start', ...counted(1000, index => ` fold${index}`)]),
  sample('folds inside of words, quotes and comments', body, [
    'X-Quoted: "one',
    ' two" (a comment',
    '\tgoes on) =?utf-8?q?a?=',
    ' =?utf-8?q?b?=',
  ]),
  sample('names in capitals, small letters and both', body, [
    'X-UPPER: 1',
    'x-lower: 2',
    'x-MiXeD: 3',
    'COMMENTS: 4',
  ]),
  sample('names with every printable character', body, [
    "X!#$%&'*+-./: 1",
    'X0123456789=?@: 2',
    'X^_`{|}~: 3',
    'X"(),;<>[\\]: 4',
  ]),
  sample('names of one letter and of two hundred', body, ['X: 1', 'Y:2', `X-${'n'.repeat(198)}: long`]),
  sample('colons in values', body, ['X-Time: 10:00:00', 'X-Colons: ::::', 'X-Url: http://a.example:80/x:y']),
  sample(
    'the same field a hundred times',
    body,
    counted(100, index => `X-Same: ${index}`),
  ),
  sample(
    'nine hundred fields',
    body,
    counted(900, index => `X-Field-${index}: value ${index}`),
  ),
  sample(
    'a header of 120 KiB',
    body,
    counted(120, index => `X-Large-${index}: ${'v'.repeat(1000 - 24)}`),
  ),
  sample('one field of 100 KiB', body, [
    'X-Large: start',
    ...counted(125, index => ` ${index} ${'w'.repeat(800)}`),
  ]),
  sample('two subjects', body, ['Subject: the second']),
  sample('two dates and two recipients fields', body, [
    'Date: Tue, 24 Nov 2026 10:00:00 +0000',
    'To: eve@there.example',
  ]),
  sample('two message ids', body, ['Message-ID: <second@acme.example>']),
  sample('two MIME versions and two types', body, [
    'MIME-Version: 1.0',
    'Content-Type: text/plain',
    'Content-Type: text/html',
  ]),
  raw('From as the last field', [...usual('From as the last field').slice(1), standard('').from], body),
  raw('fields upside down', usual('fields upside down').reverse(), body),
  raw(
    'usual names in odd letters',
    usual('usual names in odd letters').map((line, index) =>
      line.replace(/^[^:]+/, name => (index % 2 === 0 ? name.toUpperCase() : name.toLowerCase())),
    ),
    body,
  ),
  without('no date', 'date'),
  without('no message id', 'messageId'),
  without('no date, message id and subject', 'date', 'messageId', 'subject'),
  without('no recipients field', 'to'),
]
