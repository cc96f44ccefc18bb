// Transfer encodings and older ways to carry binary data in text.

import { base64Lines, crlf, noise, type Sample, sample, text } from './sample.ts'

function encoded(encoding: string, type: string = 'application/octet-stream'): string[] {
  return [`Content-Type: ${type}`, `Content-Transfer-Encoding: ${encoding}`]
}

/** yEnc: every octet moved by 42, the critical ones escaped; nearly binary. */
function yEnc(octets: Buffer): Buffer {
  const out: number[] = []
  for (const [index, octet] of octets.entries()) {
    const moved = (octet + 42) & 0xff
    if ([0, 10, 13, 0x3d].includes(moved)) out.push(0x3d, (moved + 64) & 0xff)
    else out.push(moved)
    if (index % 128 === 127) out.push(13, 10)
  }
  return Buffer.from([...out, 13, 10])
}

/** Uuencode: lines of 45 octets, no trailing blanks. */
function uuencoded(octets: Buffer): string {
  const found: string[] = []
  for (let at = 0; at < octets.length; at += 45) {
    const row = octets.subarray(at, at + 45)
    const bits = [...row].map(octet => octet.toString(2).padStart(8, '0')).join('')
    const chars = bits.match(/.{1,6}/g)!.map(six => {
      const value = Number.parseInt(six.padEnd(6, '0'), 2)
      return value === 0 ? '`' : String.fromCharCode(32 + value)
    })
    found.push(String.fromCharCode(32 + row.length) + chars.join(''))
  }
  return text('begin 644 noise.bin', ...found, '`', 'end')
}

export const encodings: readonly Sample[] = [
  sample('base64 of noise', base64Lines(noise(20_000)), encoded('base64')),
  sample('base64 in lines of 996', base64Lines(noise(20_000, 2), 996), encoded('base64')),
  sample('base64 in lines of four', base64Lines(noise(900, 3), 4), encoded('base64')),
  sample('base64 without padding', text('QQ', 'QUI'), encoded('base64')),
  sample('base64 with rubbish in it', text('Q!U=I=', '====', ' QUJD ', '..QUJD', '-_-_'), encoded('base64')),
  sample(
    'base64 that hides an end of data',
    base64Lines(Buffer.from(`a${crlf}.${crlf}MAIL FROM:<>${crlf}`)),
    encoded('base64'),
  ),
  sample('base64 of line ends alone', base64Lines(Buffer.from(crlf.repeat(300))), encoded('BASE64')),
  sample(
    'base64 of text with octets over 127 behind it',
    base64Lines(Buffer.from('Grüße')) + text('Grüße'),
    encoded('base64', 'text/plain; charset=utf-8'),
  ),
  sample(
    'quoted-printable',
    text('Gr=C3=BC=C3=9Fe=20', 'soft=', 'break', '=2Edot', '.dot', 'end='),
    encoded('quoted-printable', 'text/plain; charset=utf-8'),
  ),
  sample(
    'quoted-printable in odd letters',
    text('=c3=bc', '=C3=', '=BC', '=', '=='),
    encoded('Quoted-Printable', 'text/plain'),
  ),
  sample(
    'quoted-printable that is wrong',
    text('=XX', '=4', '=\t', 'a = b', '=0D=0A.=0D=0A'),
    encoded('quoted-printable', 'text/plain'),
  ),
  sample(
    'quoted-printable whose line ends matter',
    text('=0D', 'a=0A', 'blank =', ' ', 'tab\t='),
    encoded('quoted-printable', 'text/plain'),
  ),
  sample(
    'quoted-printable with octets over 127',
    text('Grüße=20'),
    encoded('quoted-printable', 'text/plain; charset=utf-8'),
  ),
  sample('an encoding that nobody knows', text('text'), encoded('x-zip', 'text/plain')),
  sample('uuencode', uuencoded(noise(2000, 4))),
  sample(
    'yEnc',
    Buffer.concat([
      Buffer.from(text('=ybegin line=128 size=4000 name=x')),
      yEnc(noise(4000, 5)),
      Buffer.from(text('=yend size=4000')),
    ]),
  ),
  sample(
    'BinHex',
    text('(This file must be converted with BinHex 4.0)', ':#hGPBR9dD@acAh"X!$mr2cmr2cmr!!!!!!!', '!!!:'),
  ),
  sample(
    'binary declared, with lines',
    Buffer.concat([
      noise(5000, 6)
        .map(octet => (octet < 32 ? octet + 32 : octet))
        .subarray(0, 900),
      Buffer.from(crlf),
    ]),
    encoded('binary'),
  ),
]
