// Sizes at which something happens: where a content leaves the database for a segment, and the largest one taken.

import { base64Lines, crlf, noise, type Sample, sample, text } from './sample.ts'

const row = `${'0123456789abcdef'.repeat(4)}${crlf}`

/** A mail of exactly this many octets. */
export function ofSize(sizeBytes: number, name: string = `${sizeBytes} octets`): Sample {
  const missing = sizeBytes - sample(name, '').content.length
  const rows = row.repeat(Math.floor(missing / row.length) - 1)
  return sample(name, `${rows}${'x'.repeat(missing - rows.length - crlf.length)}${crlf}`)
}

export const sizes: readonly Sample[] = [
  ofSize(16 * 1024 - 1),
  ofSize(16 * 1024),
  ofSize(16 * 1024 + 1),
  ofSize(64 * 1024),
  ofSize(256 * 1024 + 1),
  sample('fifty thousand empty lines', crlf.repeat(50_000)),
  sample('thirty thousand lines of one letter', text(...Array.from({ length: 30_000 }, () => 'a'))),
  sample('one megabyte in short lines', row.repeat(Math.ceil(1024 / 66) * 1024)),
  sample('one megabyte of base64', base64Lines(noise(786_432, 8)), ['Content-Transfer-Encoding: base64']),
]

/** The largest content that is taken by default: `limits.message_size`. */
export function largest(): Sample {
  return ofSize(25 * 1024 * 1024, 'the largest content that is taken')
}
