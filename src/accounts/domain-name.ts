// The rule for domains that an account sends from. A domain leaves as a lower-case A-label, the form in which everything
// else compares it. (Names of accounts and streams: base/name.ts.)
//
// Place on the path: off it; the service checks every domain here before it reaches the store.

import type { NameCheck } from '../base/index.ts'
import { normalizeDomain } from '../protocol/mail/index.ts'

/** Checks a domain and gives its lower-case A-label; Unicode is converted, a dot at the end is dropped. */
export function checkDomainName(text: string): NameCheck {
  const given = text.endsWith('.') ? text.slice(0, -1) : text
  // The same function that reads addresses: what is added here is what MAIL and From are compared with.
  const parsed = normalizeDomain(given)
  if (parsed.ok && /^(?:[a-z0-9-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/.test(parsed.value))
    return { ok: true, name: parsed.value }
  return { ok: false, why: `${JSON.stringify(text.slice(0, 80))} is not a domain name such as example.com` }
}
