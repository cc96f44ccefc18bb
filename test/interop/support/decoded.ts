// What a mail of one part says once its transfer encoding is undone: for comparing before and after encoding anew.
//
// Deliberately independent of `src/protocol`: a shared bug would hide itself.

/** The octets of the body, decoded as its header says. */
export function decodedBody(content: Buffer): Buffer {
  const text = content.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const [header, body] = end < 0 ? [text, ''] : [text.slice(0, end + 2), text.slice(end + 4)]
  const encoding = /^content-transfer-encoding:[ \t]*([^\s;]*)/im.exec(header)?.[1]?.toLowerCase()
  if (encoding === 'base64') return Buffer.from(body.replaceAll(/[^a-z0-9+/=]/gi, ''), 'base64')
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1')
  const whole = body
    .replaceAll(/[ \t]+(?=\r\n)/g, '')
    .replaceAll('=\r\n', '')
    .replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(whole, 'latin1')
}
