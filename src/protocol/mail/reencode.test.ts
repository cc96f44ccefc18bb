// What becomes of contents for servers without 8BITMIME and of lines that are too long, case by case.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ReencodeMode, reencode } from './reencode.ts'
import { assertFits, content, eightBit, leavesByPython, longLines, reencoded } from './test-kit-reencode.ts'

test('a content that fits is left alone', () => {
  assert.deepEqual(reencode(content('From: a@b', '', 'plain'), eightBit), { kind: 'unchanged' })
  assert.deepEqual(reencode(content('From: a@b', '', 'grün'), longLines), { kind: 'unchanged' })
  assert.deepEqual(reencode(Buffer.alloc(0), eightBit), { kind: 'unchanged' })
})

test('a text without MIME header gets one, with the charset that the bytes tell', () => {
  const output = reencoded(content('From: a@b', '', 'grün = ok'), eightBit)
  assert.equal(
    output.toString(),
    'From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn =3D ok\r\n',
  )
  const latin = Buffer.concat([Buffer.from('From: a@b\r\n\r\n'), Buffer.from([0xe9, 0x0d, 0x0a])])
  assert.match(reencoded(latin, eightBit).toString(), /charset=unknown-8bit/)
})

test('text becomes quoted-printable, other leaves base64, and declared 8-bit becomes 7-bit', () => {
  const input = content(
    'From: a@b',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="x y"',
    'Content-Transfer-Encoding: 8bit',
    '',
    'préamble',
    '--x y',
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: 8BIT (really)',
    '',
    '<p>grün</p>',
    '--x y  ',
    'Content-Type: image/png',
    'Content-Transfer-Encoding: binary',
    'Content-Disposition: attachment',
    '',
    '\u0000\u00ff',
    '--x y',
    'Content-Type: text/plain',
    '',
    'untouched',
    '--x y--',
    'épilogue',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.equal(leavesByPython(output), leavesByPython(input))
  const text = output.toString()
  assert.match(text, /boundary="x y"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--x y\r\n/)
  assert.match(
    text,
    /text\/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>gr=C3/,
  )
  assert.match(
    text,
    /image\/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nAMO\//,
  )
  assert.match(text, /Content-Type: text\/plain\r\n\r\nuntouched\r\n--x y--\r\n$/)
})

test('a message inside a message is encoded at its leaves, never as a whole', () => {
  const input = content(
    'Content-Type: multipart/digest; boundary=d',
    '',
    '--d',
    '',
    'From: inner@b',
    'Content-Transfer-Encoding: 8bit',
    '',
    'grün',
    '--d',
    'Content-Type: message/rfc822',
    'Content-Transfer-Encoding: 8bit',
    '',
    'From: second@b',
    'Content-Type: message/rfc822',
    '',
    'Subject: third',
    '',
    'grün',
    '--d--',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.equal(leavesByPython(output).match(/Z3LDvG4=/g)?.length, 2)
  assert.match(
    output.toString(),
    /--d\r\n\r\nFrom: inner@b\r\nContent-Transfer-Encoding: quoted-printable\r\n/,
  )
  assert.match(output.toString(), /message\/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: second/)
})

test('a separator of Unicode behind a boundary is text, not padding, and is encoded as such', () => {
  const input = content('Content-Type: multipart/mixed; boundary=b', '', '--b', '', '--b\u2028', '--b--')
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.match(output.toString('latin1'), /\r\n=2D-b=E2=80=A8\r\n/)
})

test('long lines are encoded, and a base64 attachment in one line is only broken anew', () => {
  const attachment = Buffer.alloc(3000, 1).toString('base64')
  const input = content(
    'From: a@b',
    `References:${' <id@b.test>'.repeat(200)}`,
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    `long ${'x'.repeat(2000)}`,
    '--b',
    'Content-Type: application/pdf',
    'Content-Transfer-Encoding: base64',
    '',
    attachment,
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'gr=C3=BCn '.repeat(200),
    '--b--',
  )
  const output = reencoded(input, longLines)
  assertFits(output, longLines)
  assert.equal(leavesByPython(output), leavesByPython(input))
})

/** A multipart that says it is encoded as a whole, as scripts write it; readers go by its delimiters. */
function labelled(encoding: string, text: string): Buffer {
  return content(
    'Content-Type: multipart/mixed; boundary=b',
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    text,
    '--b--',
  )
}

/** The first part has no empty line between its header and its text. */
function runningOn(text: string, ...others: readonly string[]): Buffer {
  const lines = ['--b', 'Content-Transfer-Encoding: 8bit', 'Hello,', '', text, ...others, '--b--']
  return content('Content-Type: multipart/mixed; boundary=b', '', ...lines)
}

const impossible: readonly (readonly [string, ReencodeMode, Buffer, string])[] = [
  ['8-bit header bytes', eightBit, content('Subject: grün', '', 'x'), 'headers-need-smtputf8'],
  [
    '8-bit bytes in the header of a part',
    eightBit,
    content(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain; name=é',
      '',
      '--b--',
    ),
    'headers-need-smtputf8',
  ],
  [
    'a header word over 998 bytes',
    longLines,
    content(`X-Y: ${'x'.repeat(1000)}`, '', 'x'),
    'header-line-too-long',
  ],
  [
    'a signed part',
    eightBit,
    content('Content-Type: multipart/signed; boundary=b', '', '--b', '', 'grün', '--b', '', 'sig', '--b--'),
    'signed',
  ],
  [
    'a multipart without boundary',
    eightBit,
    content('Content-Type: multipart/mixed', '', 'grün'),
    'structure',
  ],
  [
    'a multipart without parts',
    eightBit,
    content('Content-Type: multipart/mixed; boundary=b', '', 'grün'),
    'structure',
  ],
  ['an unknown encoding', eightBit, content('Content-Transfer-Encoding: x-uue', '', 'grün'), 'encoding'],
  ['a partial message', eightBit, content('Content-Type: message/partial', '', 'grün'), 'encoding'],
  ['a multipart that says base64', eightBit, labelled('base64', 'grün'), 'structure'],
  ['a multipart that says quoted-printable', eightBit, labelled('quoted-printable', 'grün'), 'structure'],
  ['a long line in one that says base64', longLines, labelled('base64', 'x'.repeat(2000)), 'structure'],
  [
    'a long line in one that says quoted-printable',
    longLines,
    labelled('quoted-printable', 'x'.repeat(2000)),
    'structure',
  ],
  [
    'a message that says base64',
    eightBit,
    content('Content-Type: message/rfc822', 'Content-Transfer-Encoding: base64', '', 'Subject: x', '', 'ü'),
    'structure',
  ],
  ['8-bit text that a header runs into', eightBit, runningOn('schöne Grüße'), 'structure'],
  ['a long line that a header runs into', longLines, runningOn('x'.repeat(2000)), 'structure'],
]
for (const [what, mode, input, reason] of impossible) {
  test(`${what}: the re-encoder says that it cannot, and why`, () => {
    const result = reencode(input, mode)
    assert.equal(result.kind, 'impossible')
    if (result.kind !== 'impossible') return
    assert.equal(result.reason, reason)
    // That would bounce as well: a server without 8BITMIME does not offer it (RFC 6531 §3.1).
    assert.doesNotMatch(result.why, /SMTPUTF8/)
  })
}

test('what must not be encoded is passed as it is while that fits, also beside what is encoded', () => {
  assert.deepEqual(reencode(labelled('base64', 'plain'), eightBit), { kind: 'unchanged' })
  const output = reencoded(runningOn('plain', '--b', '', 'grün'), eightBit)
  assertFits(output, eightBit)
  assert.ok(output.includes('--b\r\nContent-Transfer-Encoding: 8bit\r\nHello,\r\n\r\nplain\r\n--b\r\n'))
})

test('a signed part that fits does not keep its neighbours from being encoded', () => {
  const signed = [
    '--s',
    '',
    'exactly  this',
    '--s',
    'Content-Type: application/pkcs7-signature',
    '',
    'sig',
    '--s--',
  ]
  const input = content(
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: multipart/signed; boundary=s',
    '',
    ...signed,
    '--b',
    '',
    'grün',
    '--b--',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.ok(output.includes(`\r\n\r\n${signed.join('\r\n')}\r\n`))
})

test('a transfer encoding that stays is not written in one line again', () => {
  const field = `Content-Transfer-Encoding: x-${'a'.repeat(900)}\r\n ${'b'.repeat(900)}`
  const input = content(`Subject: ${'word '.repeat(300)}`, field, '', 'body')
  const output = reencoded(input, longLines)
  assertFits(output, longLines)
  assert.ok(output.includes(field))
})
