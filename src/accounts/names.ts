// Rules for names that people give: accounts, streams, domains.
//
// Place on the path: off it; the service checks every name here before it reaches the store. A domain leaves as a
// lower-case A-label, the form in which everything else compares it.

import { normalizeDomain } from '../protocol/mail/index.ts'

/** A name that may be used, or the sentence that says why not. */
export type NameCheck =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly why: string }

/** Checks the name of an account or stream: 1 to 64 of a-z 0-9 . _ - with a letter or digit first. */
export function checkName(name: string): NameCheck {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name) && !isIdLike(name)) return { ok: true, name }
  const why = `${quote(name)} is not a name: use 1 to 64 of a-z, 0-9, dot, hyphen and underscore, a letter or digit first`
  return { ok: false, why: isIdLike(name) ? `${quote(name)} looks like an id and cannot be a name` : why }
}

/** Checks a domain and gives its lower-case A-label; Unicode is converted, a dot at the end is dropped. */
export function checkDomainName(text: string): NameCheck {
  const given = text.endsWith('.') ? text.slice(0, -1) : text
  // The same function that reads addresses: what is added here is what MAIL and From are compared with.
  const parsed = normalizeDomain(given)
  if (parsed.ok && /^(?:[a-z0-9-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/.test(parsed.value))
    return { ok: true, name: parsed.value }
  return { ok: false, why: `${quote(text)} is not a domain name such as example.com` }
}

/** Names never look like ids, so that a flag may take either. */
function isIdLike(name: string): boolean {
  return /^(acc|crd|dom|str|msg|evt|key)_[a-z2-7]{26}$/.test(name)
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
