// The corpus: odd mails that relays like to change. Each must come out of Postrider as the same bytes.
//
// Written by code, so that a line at the limit is exactly that; the families stand in files of their own. All of them
// are taken at the door; what is refused there, and why, stands beside them.

import { charsets } from './charsets.ts'
import { dots } from './dots.ts'
import { encodings } from './encodings.ts'
import { endings } from './endings.ts'
import { headerFields } from './header-fields.ts'
import { headerForms } from './header-forms.ts'
import { longLines } from './long-lines.ts'
import { mime } from './mime.ts'
import type { Sample } from './sample.ts'
import { sizes } from './sizes.ts'

export { type RefusedSample, refused } from './refused.ts'
export type { Sample } from './sample.ts'
export { largest } from './sizes.ts'

/** Families by what is odd about their mails. */
export const families: Readonly<Record<string, readonly Sample[]>> = {
  'endings and empty mails': endings,
  dots,
  'long lines and control characters': longLines,
  'charsets and 8-bit': charsets,
  'forms of header fields': headerForms,
  'fields with a meaning': headerFields,
  MIME: mime,
  encodings,
  sizes,
}

export const corpus: readonly Sample[] = Object.values(families).flat()

/** Doubles dots behind CRLF, as DATA wants it. The final CRLF is left to the sender. */
export function stuffed(content: Buffer): Buffer {
  return Buffer.from(
    content
      .subarray(0, -2)
      .toString('latin1')
      .replaceAll(/(^|\r\n)\./g, '$1..'),
    'latin1',
  )
}

const crlf = Buffer.from('\r\n')

/** With a line end: a mail without one gets it from us at the latest, since DATA cannot do without. */
export function ended(content: Buffer): Buffer {
  return content.subarray(-2).equals(crlf) ? content : Buffer.concat([content, crlf])
}
