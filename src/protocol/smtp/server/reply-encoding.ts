// Reply value → wire text (RFC 5321 §4.2.1, RFC 2034).
//
// The contract says that texts have no CR or LF; a text from outside that breaks it must still never become
// a second reply, so control characters are made visible here. Long lines are split, not cut.

import type { SmtpReply } from '../reply.ts'

/** Characters of text a line: 512 octets with codes and CRLF (RFC 5321 §4.5.3.1.5), with room for UTF-8. */
const textCharsMax = 480

const plainText = /^[ -~]*$/

function tidy(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

function split(lines: readonly string[]): string[] {
  const parts: string[] = []
  for (const line of lines) {
    let rest = plainText.test(line) ? line : tidy(line)
    while (Buffer.byteLength(rest) > textCharsMax) {
      const cut = Buffer.byteLength(rest) === rest.length ? textCharsMax : textCharsMax >> 2
      parts.push(rest.slice(0, cut))
      rest = rest.slice(cut)
    }
    parts.push(rest)
  }
  return parts
}

/** The reply as it goes on the wire, CRLF included. */
export function encodeReply(reply: SmtpReply): string {
  const prefix = reply.enhanced === '' ? '' : `${reply.enhanced} `
  const first = reply.lines[0] ?? ''
  if (reply.lines.length <= 1 && first.length <= textCharsMax && plainText.test(first))
    return `${reply.code} ${prefix}${first}\r\n`
  const parts = split(reply.lines)
  const last = parts.length - 1
  let wire = ''
  for (let i = 0; i <= last; i++) wire += `${reply.code}${i === last ? ' ' : '-'}${prefix}${parts[i]}\r\n`
  return wire
}
