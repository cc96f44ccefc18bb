// The DNS records that a domain needs, as a list to publish and to compare with.
//
// Place on the path: off it; `domain add` and `domain show` print them. Nothing is asked of DNS here: the status of
// every record is `unchecked` until the proof in DNS exists.

import { dkimRecordName } from '../protocol/auth/dkim/index.ts'
import type { Domain, DomainKey } from './types.ts'

/** One record to publish. */
export interface DomainRecord {
  readonly type: 'TXT'
  /** Without a dot at the end. */
  readonly name: string
  /** In one piece; a zone file splits it into strings of at most 255 bytes. */
  readonly value: string
  readonly purpose: 'ownership' | 'dkim' | 'spf' | 'dmarc'
  readonly status: 'unchecked'
}

/** The records of a domain: DKIM keys, SPF for this server, a first DMARC policy; for a pending one its proof. */
export function domainRecords(domain: Domain, keys: readonly DomainKey[], hostname: string): DomainRecord[] {
  const records: DomainRecord[] = []
  const add = (purpose: DomainRecord['purpose'], name: string, value: string) =>
    records.push({ type: 'TXT', name, value, purpose, status: 'unchecked' })
  // The id of the domain is random and belongs to one account: nobody else can have a reason to publish it.
  if (domain.status === 'pending')
    add('ownership', `_postrider.${domain.name}`, `postrider-domain=${domain.id}`)
  if (domain.signs)
    for (const key of keys)
      if (key.status === 'active') add('dkim', dkimRecordName(key.selector, domain.name), key.publicRecord)
  add('spf', domain.name, `v=spf1 a:${hostname} ~all`)
  add('dmarc', `_dmarc.${domain.name}`, 'v=DMARC1; p=none')
  return records
}
