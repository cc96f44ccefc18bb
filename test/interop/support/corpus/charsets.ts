// Octets over 127 and the names that say what they mean: none of it is a relay's business.

import { base64Lines, crlf, eightBit, lines, type Sample, sample, standard, text, whole } from './sample.ts'

function declared(charset: string, encoding: string = '8bit'): string[] {
  return [`Content-Type: text/plain; charset=${charset}`, `Content-Transfer-Encoding: ${encoding}`]
}

function octets(...codes: readonly number[]): Buffer {
  return Buffer.from([...codes, 13, 10])
}

const high = Array.from({ length: 128 }, (_, index) => 128 + index)

/** UTF-8 in header fields, declared with SMTPUTF8. */
function utf8Header(name: string, ...more: readonly string[]): Sample {
  const { from, to, date, messageId } = standard(name)
  const content = Buffer.concat([
    lines([from, to, date, messageId, ...more, ...eightBit]),
    Buffer.from(`${crlf}text${crlf}`),
  ])
  return whole(name, content, true)
}

export const charsets: readonly Sample[] = [
  sample('UTF-8', text('Grüße – 你好', 'Ελληνικά, кириллица, עברית, ไทย'), eightBit),
  sample('UTF-8 beyond the basic plane', text('😀 👩‍👩‍👧‍👦 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🇪🇺'), eightBit),
  sample('UTF-8 with a byte order mark', text('\uFEFFtext behind a mark'), eightBit),
  sample('combining marks and their composed twins', text('e\u0301 é', 'A\u030A Å'), eightBit),
  sample(
    'marks of direction and of no width',
    text('\u202Eabc\u202C \u200B\u200D\uFEFF \u2066x\u2069'),
    eightBit,
  ),
  sample('NEL, line separator and paragraph separator', text('a\u0085b\u2028c\u2029d'), eightBit),
  sample('ISO-8859-1', Buffer.from(text('Grüße, façade, ñ'), 'latin1'), declared('iso-8859-1')),
  sample(
    'Windows-1252',
    octets(0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0xa0),
    declared('windows-1252'),
  ),
  sample('KOI8-R', octets(0xf0, 0xd2, 0xc9, 0xd7, 0xc5, 0xd4), declared('koi8-r')),
  sample(
    'Shift_JIS with backslashes as second octets',
    octets(0x83, 0x5c, 0x95, 0x5c, 0x8f, 0x5c),
    declared('shift_jis'),
  ),
  sample(
    'GB18030 with four-octet characters',
    octets(0x81, 0x30, 0x81, 0x30, 0x95, 0x32, 0x82, 0x36),
    declared('gb18030'),
  ),
  sample('EUC-KR', octets(0xbe, 0xc8, 0xb3, 0xe7), declared('euc-kr')),
  sample('Big5 with a dot-like tail', octets(0xa4, 0x40, 0xa5, 0x5c, 0xa6, 0x7e), declared('big5')),
  sample('ISO-2022-JP', text('\x1b$B$3$s$K$A$O\x1b(B', '.\x1b$B.\x1b(B'), declared('iso-2022-jp', '7bit')),
  sample('UTF-7', text('+AGAAaABl- +2D3cAA-'), declared('utf-7', '7bit')),
  sample(
    'UTF-16 in base64',
    base64Lines(Buffer.from('\uFEFFGrüße 你好', 'utf16le')),
    declared('utf-16', 'base64'),
  ),
  sample('a charset that nobody knows', text('ÄÖÜ'), declared('x-martian')),
  sample('a charset without a name', text('ÄÖÜ'), [
    'Content-Type: text/plain; charset=',
    'Content-Transfer-Encoding: 8bit',
  ]),
  sample('a charset in quotes with a comment', text('ÄÖÜ'), declared('"utf-8" (plain text)')),
  sample('octets over 127 that are no text', octets(...high), eightBit),
  sample(
    'UTF-8 that is cut, overlong and out of range',
    octets(0xc3, 32, 0xc0, 0xaf, 32, 0xf5, 0x80, 32, 0xed, 0xa0, 0x80),
    eightBit,
  ),
  sample('octets over 127 declared as 7bit', text('Grüße'), declared('utf-8', '7bit')),
  sample('octets over 127 without any declaration', text('Grüße')),
  sample('a line of 0xFF', Buffer.concat([Buffer.alloc(900, 0xff), Buffer.from(crlf)]), eightBit),
  sample(
    'no-break spaces at line ends',
    Buffer.from(text('a\xa0', '\xa0', 'b \xa0 '), 'latin1'),
    declared('iso-8859-1'),
  ),
  sample('octets over 127 in a field, undeclared', text('text'), [
    Buffer.from('X-Latin: Gr\xfc\xdfe', 'latin1'),
    'X-Utf8: Grüße',
  ]),
  utf8Header('UTF-8 in the subject', 'Subject: Grüße – 你好'),
  utf8Header('UTF-8 in a folded field', 'Subject: sample', 'X-Folded: Grüße', ' 你好', '\tEnde'),
  utf8Header('a UTF-8 address in a field', 'Subject: sample', 'Cc: Jürgen <jürgen@müller.example>'),
]
