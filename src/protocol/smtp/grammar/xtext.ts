// xtext (RFC 3461 §4) and the address form of RFC 6533 §3: how ENVID, ORCPT and AUTH= carry any text.
//
// Decoding never lets a control character through: these values are later printed in headers, in DSN fields
// and in commands to the next hop.

const xtextPattern = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/

/** Decodes xtext; null when it is malformed or hides a control or non-ASCII character. */
export function decodeXtext(text: string): string | null {
  if (!xtextPattern.test(text)) return null
  const decoded = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return /^[ -~]*$/.test(decoded) ? decoded : null
}

/** Encodes printable ASCII as xtext; any other character is given as its UTF-8 octets. */
export function encodeXtext(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x2b && byte !== 0x3d
    encoded += isPlain ? String.fromCharCode(byte) : `+${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

/** Decodes utf-8-addr-xtext or utf-8-addr-unitext (RFC 6533 §3); null when malformed or with control characters. */
export function decodeUtf8AddressXtext(text: string): string | null {
  let isValid = true
  const decoded = text.replace(/\\x\{([0-9A-F]{2,6})\}|\\/g, (_, hex: string | undefined) => {
    const point = hex === undefined ? -1 : Number.parseInt(hex, 16)
    if (point < 0x20 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
      isValid = false
      return ''
    }
    return String.fromCodePoint(point)
  })
  if (!isValid || !decoded.isWellFormed()) return null
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(decoded) ? null : decoded
}
