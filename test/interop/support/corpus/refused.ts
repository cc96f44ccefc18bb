// Mails that are refused at the door, since servers behind us would disagree on what they say.

import { crlf, lines, raw, type Sample, sample, standard, text, whole } from './sample.ts'

/** A mail with the reply that it gets. */
export interface RefusedSample extends Sample {
  /** SMTP code, enhanced code and the stable code in brackets, which is '' for refusals of the SMTP engine. */
  readonly reply: readonly [code: number, enhancedCode: string, stableCode: string]
}

const malformed = [550, '5.6.0', 'header-malformed'] as const
const noFrom = [550, '5.6.0', 'from-invalid'] as const
const tooLong = [550, '5.6.0', 'line-too-long'] as const
const badBytes = [550, '5.6.0', ''] as const
const body = text('text')
const usual = Object.values(standard('refused'))

function as(reply: RefusedSample['reply'], one: Sample): RefusedSample {
  return { ...one, reply }
}

export const refused: readonly RefusedSample[] = [
  as(
    malformed,
    sample('a line without a colon in the header', body, ['X-Before: 1', 'this is no field', 'X-After: 2']),
  ),
  as(malformed, sample('a name with a blank in it', body, ['X Before: 1', 'X-After: 2'])),
  as(malformed, sample('a field without a name', body, [': value'])),
  as(malformed, raw('a header that begins with a continuation', [' folded', ...usual], body)),
  as(malformed, raw('a header that begins with a line of blanks', [' ', ...usual], body)),
  as(
    malformed,
    raw('an mbox line before the header', ['From ann@acme.example Mon Nov 23 10:00:00 2026', ...usual], body),
  ),
  as(
    malformed,
    whole('a body right behind the header', Buffer.concat([lines([...usual, 'Hello,', 'world'])])),
  ),
  as(malformed, whole('text without a header', Buffer.from(text('Hello,', 'world')))),
  as(noFrom, whole('an empty mail', Buffer.from(crlf))),
  as(noFrom, raw('no From', usual.slice(1), body)),
  as(noFrom, sample('a second From', body, ['From: eve@evil.example'])),
  as(tooLong, sample('a line of 999 octets', text('x'.repeat(999)))),
  as(tooLong, sample('a field of 999 octets', body, [`X-Long: ${'v'.repeat(991)}`])),
  as(
    [552, '5.3.4', 'header-too-large'],
    sample(
      'a header of 140 KiB',
      body,
      Array.from({ length: 144 }, () => `X: ${'v'.repeat(990)} end`),
    ),
  ),
  as(
    [552, '5.3.4', 'header-too-many-fields'],
    sample(
      'a thousand fields',
      body,
      Array.from({ length: 1000 }, () => 'X: v'),
    ),
  ),
  as(badBytes, sample('a line that ends in LF alone', `one\ntwo${crlf}`)),
  as(badBytes, sample('a CR that ends no line', `one\rtwo${crlf}`)),
  as(badBytes, sample('a NUL', text('one\0two'))),
]
