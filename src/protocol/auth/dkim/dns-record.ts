// The DNS side of a DKIM key (RFC 6376 §3.6.1, RFC 8463 §4): record name, text, and its strings.
//
// Place on the path: off it; `domain add` and the domain checks print and compare these records.

import { createPublicKey, type KeyObject } from 'node:crypto'
import type { DkimKey } from './keys.ts'

/** Name of the TXT record of a key. */
export function dkimRecordName(selector: string, domain: string): string {
  return `${selector}._domainkey.${domain}`
}

/** Text of the TXT record, in one piece: `v=DKIM1; k=…; p=…`. */
export function dkimRecordText(key: Pick<DkimKey, 'algorithm' | 'privateKey'>): string {
  const publicKey = createPublicKey(key.privateKey as KeyObject)
  const der = publicKey.export({ type: 'spki', format: 'der' })
  if (key.algorithm === 'rsa-sha256') return `v=DKIM1; k=rsa; p=${der.toString('base64')}`
  // RFC 8463 §4: the bare 32 bytes, which end the SubjectPublicKeyInfo.
  return `v=DKIM1; k=ed25519; p=${der.subarray(der.length - 32).toString('base64')}`
}

/** The strings of a TXT record: at most 255 bytes each (RFC 1035 §3.3); readers join them without a space. */
export function splitTxtRecord(text: string): string[] {
  const strings: string[] = []
  for (let at = 0; at < text.length; at += 255) strings.push(text.slice(at, at + 255))
  return strings
}
