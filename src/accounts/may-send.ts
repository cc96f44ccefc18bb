// May this account use this domain? One rule for reverse-path, From and signing.
//
// Exactly the domain that was added: a sub-domain may belong to somebody else, has DNS records of its own, and is
// added like any other domain.

import type { AccountReader } from './port.ts'
import type { Domain } from './types.ts'

export type MaySendAs =
  | { readonly ok: true; readonly domain: Domain }
  /** `pending`: added, but neither trusted nor proved in DNS. */
  | { readonly ok: false; readonly reason: 'not-owned' | 'pending' }

/** @param domain lower-case A-label. */
export function maySendAs(reader: AccountReader, accountKey: number, domain: string): MaySendAs {
  const found = reader.domain(accountKey, domain)
  if (found === null) return { ok: false, reason: 'not-owned' }
  if (found.status === 'pending') return { ok: false, reason: 'pending' }
  return { ok: true, domain: found }
}
