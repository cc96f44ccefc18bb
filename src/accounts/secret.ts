// The secrets of credentials: 256 random bits behind a prefix that secret scanners can look for.
//
// Place on the path: made once by `credential create`, shown once, then only their SHA-256 exists. Plain SHA-256 is
// enough because the secret cannot be guessed; a slow hash would only tax the threads.

import { createHash } from 'node:crypto'

/** What every secret starts with. */
export const secretPrefix = 'pr_'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** A fresh secret: `pr_` and 52 characters that survive a double click, a shell and a URL. */
export function makeSecret(randomBytes: (sizeBytes: number) => Buffer): string {
  return secretPrefix + base32(randomBytes(32))
}

/** What the store keeps of a secret. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest()
}

/** Lower-case base32 without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let value = 0
  let bits = 0
  for (const byte of bytes) {
    value = ((value & 0x1f) << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >> bits) & 31]
    }
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31]
}
