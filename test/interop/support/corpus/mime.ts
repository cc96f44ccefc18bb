// Structures of MIME, right and wrong. A relay that takes none of them apart cannot break any.

import { base64Lines, crlf, noise, type Sample, sample, text } from './sample.ts'

function multipart(boundary: string, kind: string = 'mixed'): string[] {
  return [`Content-Type: multipart/${kind}; boundary="${boundary}"`]
}

/** Parts in parts: multipart/mixed, `depth` levels. The first line is the type field of the outermost. */
function nested(depth: number): string {
  const open: string[] = []
  const close: string[] = []
  for (let level = depth; level > 0; level--) {
    open.push(`Content-Type: multipart/mixed; boundary="level-${level}"`, '', `--level-${level}`)
    close.push(`--level-${level}--`)
  }
  return text(...open, 'Content-Type: text/plain', '', 'the innermost part', ...close.reverse())
}

function deep(depth: number): Sample {
  const [typeField = '', ...rest] = nested(depth).split(crlf)
  return sample(`parts in parts, ${depth} deep`, rest.slice(1).join(crlf), [typeField])
}

function messages(depth: number): string {
  const fields = ['From: x@elsewhere.example', 'MIME-Version: 1.0', 'Content-Type: message/rfc822', '']
  return text(
    ...Array.from({ length: depth }, () => fields).flat(),
    'From: last@elsewhere.example',
    '',
    '.',
    'end',
  )
}

const report = [
  '--r',
  'Content-Type: text/plain',
  '',
  'It failed.',
  '--r',
  'Content-Type: message/delivery-status',
  '',
  'Reporting-MTA: dns; a.example',
  '',
  'Final-Recipient: rfc822; bob@there.example',
  'Action: failed',
  'Status: 5.1.1',
  '',
  '--r',
  'Content-Type: text/rfc822-headers',
  '',
  'Subject: lost',
  '',
  '--r--',
]

export const mime: readonly Sample[] = [
  deep(10),
  deep(30),
  deep(90),
  deep(300),
  sample('message in message, twenty deep', messages(20), ['Content-Type: message/rfc822']),
  sample(
    'empty parts',
    text('--b', '', '--b', '', '', '--b', 'Content-Type: text/html', '', '--b--'),
    multipart('b'),
  ),
  sample(
    'parts without a blank line',
    text('--b', '--b', 'Content-Type: text/html', '--b--'),
    multipart('b'),
  ),
  sample('no parts at all', text('--b--'), multipart('b')),
  sample('nothing but a preamble', text('only a preamble', 'and no boundary'), multipart('b')),
  sample(
    'a preamble and an epilogue',
    text('before', '--b', '', 'part', '--b--', 'behind', '.', ''),
    multipart('b'),
  ),
  sample('no closing boundary', text('--b', '', 'part', '--b', '', 'cut'), multipart('b')),
  sample('a closing boundary without a line end', `--b${crlf}${crlf}part${crlf}--b--`, multipart('b')),
  sample(
    'boundaries with blanks behind them',
    text('--b  ', '', 'part', '--b\t', '', 'part', '--b--  '),
    multipart('b'),
  ),
  sample(
    'one boundary inside of another',
    text('--ab', '', '--abc is no boundary', '--ab', '', '--a', '--ab--'),
    multipart('ab'),
  ),
  sample(
    'a boundary of seventy odd characters',
    text("--'()+_,-./:=?0123456789'()+_,-./:=?0123456789'()+_,-./:=?012345678", '', 'x'),
    multipart("'()+_,-./:=?0123456789'()+_,-./:=?0123456789'()+_,-./:=?012345678"),
  ),
  sample('an empty boundary', text('--', '', 'part', '----'), multipart('')),
  sample('a boundary that begins with a dot', text('--.b', '', '.', '--.b--'), multipart('.b')),
  sample('multipart without a boundary', text('--b', '', 'part', '--b--'), ['Content-Type: multipart/mixed']),
  sample(
    'a thousand parts',
    text(...Array.from({ length: 1000 }, (_, part) => `--b${crlf}${crlf}${part}`), '--b--'),
    multipart('b'),
  ),
  sample(
    'text and HTML',
    text(
      '--b',
      'Content-Type: text/plain',
      '',
      'Hello',
      '--b',
      'Content-Type: text/html',
      '',
      '<p>Hello</p>',
      '--b--',
    ),
    multipart('b', 'alternative'),
  ),
  sample(
    'HTML with an image beside it',
    text(
      '--b',
      'Content-Type: text/html',
      '',
      '<img src="cid:1">',
      '--b',
      'Content-Type: image/png',
      'Content-ID: <1>',
      'Content-Transfer-Encoding: base64',
      '',
    ) +
      base64Lines(noise(3000, 7)) +
      text('--b--'),
    multipart('b', 'related'),
  ),
  sample(
    'a signed part whose blanks count',
    text(
      '--b',
      'Content-Type: text/plain',
      '',
      'signed ',
      '\t',
      '',
      '',
      '--b',
      'Content-Type: application/pgp-signature',
      '',
      '-----BEGIN PGP SIGNATURE-----',
      '',
      'AAAA',
      '=AAAA',
      '-----END PGP SIGNATURE-----',
      '--b--',
    ),
    [
      'Content-Type: multipart/signed; micalg=pgp-sha256;',
      ' protocol="application/pgp-signature"; boundary="b"',
    ],
  ),
  sample(
    'a clear-signed PGP text',
    text(
      '-----BEGIN PGP SIGNED MESSAGE-----',
      'Hash: SHA256',
      '',
      '- -- dashes ',
      '- From',
      '-----BEGIN PGP SIGNATURE-----',
      '',
      'AAAA',
      '-----END PGP SIGNATURE-----',
    ),
  ),
  sample('a delivery report', text(...report), [
    'Content-Type: multipart/report; report-type=delivery-status; boundary=r',
  ]),
  sample(
    'a calendar with its own folds',
    text('BEGIN:VCALENDAR', 'SUMMARY:folded', ' here', 'X-EMPTY:', 'END:VCALENDAR'),
    ['Content-Type: text/calendar; method=REQUEST'],
  ),
  sample('part two of nine', text('the second part'), [
    'Content-Type: message/partial; id="x@acme.example"; number=2; total=9',
  ]),
  sample('a body elsewhere', text('Content-Type: image/gif', '', ''), [
    'Content-Type: message/external-body; access-type=URL;',
    ' URL="http://a.example/x"',
  ]),
  sample('an unreadable type', text('text'), [
    'Content-Type: ; =;;="',
    'Content-Transfer-Encoding: (none)',
    'Content-Disposition:',
  ]),
  sample('a type of a thousand parameters', text('text'), [
    'Content-Type: text/plain;',
    ...Array.from({ length: 999 }, (_, index) => ` p${index}=v;`),
    ' last=1',
  ]),
  sample('MIME version two', text('text'), ['MIME-Version: 2.0 (from the future)']),
]
