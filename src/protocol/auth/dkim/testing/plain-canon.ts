// Relaxed canonicalisation as RFC 6376 puts it, sentence by sentence: slow, and easy to hold against the text.
//
// Texts are Latin-1, one character a byte.

/** RFC 6376 §3.4.4. */
export function plainRelaxedBody(body: string): string {
  const lines = body.split('\r\n').map(line =>
    line
      // Reduce all sequences of WSP within a line to a single SP.
      .replace(/[ \t]+/g, ' ')
      // Ignore all whitespace at the end of lines.
      .replace(/ $/, ''),
  )
  // Ignore all empty lines at the end of the body.
  while (lines.at(-1) === '') lines.pop()
  // If the body is non-empty but does not end with a CRLF, a CRLF is added.
  return lines.length === 0 ? '' : `${lines.join('\r\n')}\r\n`
}

/** RFC 6376 §3.4.2, for one field with its line end. */
export function plainRelaxedField(field: string): string {
  const colon = field.indexOf(':')
  // Convert all header field names to lowercase; delete WSP before the colon.
  const name = field
    .slice(0, colon)
    .toLowerCase()
    .replace(/[ \t]+$/, '')
  const value = field
    .slice(colon + 1)
    // Unfold all header field continuation lines.
    .replaceAll('\r\n', '')
    // Convert all sequences of one or more WSP to a single SP.
    .replace(/[ \t]+/g, ' ')
    // Delete all WSP at the end of the value, and after the colon.
    .replace(/^ | $/g, '')
  return `${name}:${value}\r\n`
}
