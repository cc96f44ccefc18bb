// Makes text from elsewhere safe inside report fields.
//
// Place on the path: the DSN builder. Invariants: the result has no control character, no line break of any
// kind and at most 900 bytes, and is ASCII unless UTF-8 is allowed. Plain text, which nearly all is, costs one look.

import { isAscii } from 'node:buffer'

/** Longest value of a field. */
export const valueBytesMax = 900
const lineMax = 78
const plainText = /^[\x20-\x7e]*$/

/**
 * One line of text: controls and line breaks become spaces. Characters outside of ASCII become `\x{…}` (the
 * form of RFC 6533 §3) unless `isUtf8`. Cut after so many bytes.
 */
export function safeText(text: string, isUtf8: boolean, bytesMax: number = valueBytesMax): string {
  const head = text.length > bytesMax ? text.slice(0, bytesMax) : text
  if (plainText.test(head)) return head
  let safe = ''
  let sizeBytes = 0
  for (const char of text) {
    const piece = safeCharacter(char, isUtf8)
    sizeBytes += Buffer.byteLength(piece)
    if (sizeBytes > bytesMax) break
    safe += piece
  }
  return safe
}

/**
 * An address with its type as report fields have it: `rfc822; a@b.test`, or `utf-8; …` when it is not ASCII.
 * Written out in ASCII, its `\`, `+` and `=` are escaped too (RFC 6533 §3, utf-8-addr-xtext).
 */
export function typedAddress(address: string, isUtf8: boolean): string {
  if (isAscii(Buffer.from(address))) return `rfc822; ${safeText(address, isUtf8)}`
  if (isUtf8) return `utf-8; ${safeText(address, true)}`
  const escapes: Record<string, string> = { '\\': '\\x{5C}', '+': '\\x{2B}', '=': '\\x{3D}' }
  const escaped = Array.from(address, char => escapes[char] ?? safeText(char, false)).join('')
  return `utf-8; ${escaped.slice(0, valueBytesMax)}`
}

function safeCharacter(char: string, isUtf8: boolean): string {
  const code = char.codePointAt(0)!
  if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029) return ' '
  if (code < 0x7f) return char
  // A lone surrogate is no character; U+FFFD is what it becomes in UTF-8 anyway.
  if (code >= 0xd800 && code <= 0xdfff) return isUtf8 ? '\ufffd' : '\\x{FFFD}'
  return isUtf8 ? char : `\\x{${code.toString(16).toUpperCase()}}`
}

/** Folds a field at its spaces so that lines stay within 78 characters where there are spaces. */
export function wrapField(field: string): string {
  return wrap(field, lineMax, '\r\n ')
}

/** Breaks text at spaces; `separator` begins each new line. */
export function wrap(text: string, width: number, separator: string): string {
  let wrapped = ''
  let column = 0
  for (const word of text.split(' ')) {
    if (column === 0) wrapped += word
    // Empty words are runs of spaces: a line of nothing but them must not come out.
    else if (word !== '' && column + 1 + word.length > width) {
      wrapped = `${wrapped.trimEnd()}${separator}${word}`
      column = separator.length - 2
    } else wrapped += ` ${word}`
    column += 1 + word.length
  }
  return wrapped
}
