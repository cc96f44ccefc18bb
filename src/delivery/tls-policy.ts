// Opportunistic TLS, with care, as a decision table (docs/concepts/delivery.md).
//
// policy               STARTTLS offered, works   offered, fails                        not offered
// opportunistic        TLS                       next host; none left: defer           clear, unless TLS worked lately:
//                                                                                      as "fails"
// opportunistic-clear  TLS                       next host; none left: clear,          clear, unless TLS worked lately:
//                                                unless TLS worked lately: defer       as "fails"
// required             TLS                       next host; none left: defer           as "fails"
// verified             TLS with a valid          next host; none left: defer           as "fails"
//                      certificate
//
// `opportunistic-clear` is what a message becomes that has waited for TLS long enough. "Lately" is the host memory:
// 30 days. Credentials, TLS from the first byte and (later) MTA-STS and DANE bind at least `required`.

import type { Smarthost } from './route.ts'

export type TlsPolicy = 'opportunistic' | 'opportunistic-clear' | 'required' | 'verified'

/** What was seen at a host. */
export type TlsSight = 'works' | 'fails' | 'not-offered'

/** `next`: this host will not do, try the others; `clear-last`: clear text is allowed once all hosts were tried with TLS. */
export type TlsVerdict = 'use' | 'clear' | 'next' | 'clear-last'

type Row = Readonly<Record<TlsSight, { readonly fresh: TlsVerdict; readonly lately: TlsVerdict }>>

const use = { fresh: 'use', lately: 'use' } as const
const next = { fresh: 'next', lately: 'next' } as const
const clear = { fresh: 'clear', lately: 'next' } as const

const table: Readonly<Record<TlsPolicy, Row>> = {
  opportunistic: { works: use, fails: next, 'not-offered': clear },
  'opportunistic-clear': { works: use, fails: { fresh: 'clear-last', lately: 'next' }, 'not-offered': clear },
  required: { works: use, fails: next, 'not-offered': next },
  verified: { works: use, fails: next, 'not-offered': next },
}

/** What to do with a host. `workedLately`: TLS succeeded with it within the host memory. */
export function tlsVerdict(policy: TlsPolicy, sight: TlsSight, workedLately: boolean): TlsVerdict {
  return table[policy][sight][workedLately ? 'lately' : 'fresh']
}

/** The policy for a message of this age by this route (null: MX). */
export function tlsPolicyFor(
  smarthost: Smarthost | null,
  ageMs: number,
  tlsFallbackAfterMs: number,
): TlsPolicy {
  const asked = smarthost?.tls ?? 'opportunistic'
  if (asked !== 'opportunistic') return asked
  if (smarthost?.credentials !== undefined || smarthost?.isImplicitTls === true) return 'required'
  return ageMs >= tlsFallbackAfterMs ? 'opportunistic-clear' : 'opportunistic'
}
