// Turns the bytes of a peer's reply text into a string that is safe to store, print and send on.
//
// Valid UTF-8 stays as it is; every other byte, every control character except TAB and the line separators of Unicode are
// shown as `\xNN`. Invariants: never throws, time linear in the bytes, nothing in the result ends a line.

import { isUtf8 } from 'node:buffer'

const TAB = 0x09
const SPACE = 0x20
const TILDE = 0x7e

/** The text of `bytes[start, end)`, with what is not printable UTF-8 shown as `\xNN`. */
export function printableText(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if ((byte < SPACE && byte !== TAB) || byte > TILDE) return escapedText(bytes.subarray(start, end))
  }
  return bytes.toString('latin1', start, end)
}

/** The largest cut at or below `end` that does not split a UTF-8 sequence begun after `start`. */
export function cutBeforeSequence(bytes: Buffer, start: number, end: number): number {
  let cut = end
  while (cut > start && end - cut < 4 && (bytes[cut]! & 0xc0) === 0x80) cut--
  return (bytes[cut]! & 0xc0) === 0xc0 ? cut : end
}

function escapedText(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at]!
    const length = sequenceLength(byte)
    const sequence = bytes.subarray(at, at + length)
    if (isPrintable(sequence, length)) {
      text += sequence.toString('utf8')
      at += length
    } else {
      text += `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`
      at += 1
    }
  }
  return text
}

function isPrintable(sequence: Buffer, length: number): boolean {
  const first = sequence[0]!
  if (length === 1) return first === TAB || (first >= SPACE && first <= TILDE)
  if (sequence.length !== length || !isUtf8(sequence)) return false
  // U+0080 to U+009F are control characters too: terminals obey them. U+2028 and U+2029 end a line for some readers.
  if (first === 0xc2) return sequence[1]! >= 0xa0
  return !(first === 0xe2 && sequence[1] === 0x80 && (sequence[2]! & 0xfe) === 0xa8)
}

function sequenceLength(first: number): number {
  if (first >= 0xf0) return 4
  if (first >= 0xe0) return 3
  return first >= 0xc0 ? 2 : 1
}
