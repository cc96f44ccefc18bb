// Whether a "there is nothing" of DNS may bounce mail: only from servers that know of something above the name.
//
// Place: the planner asks before a permanent failure that rests on negative answers. A resolver that lost its
// upstream, a captive portal or a broken filter may say NXDOMAIN, or nothing at all, for every name there is; believed,
// it would bounce the whole queue in minutes. A server that works knows the zones above: "no such name" is believed
// when some name above exists, "no records" when the name servers of the name or of one above are told. Asked of a
// resolver with a short memory, since what it knew before it broke says nothing.
// Plan: 1. the root, whose servers every working DNS tells at once, and which is above all names: one question for all;
// 2. where it is not told (a network with zones of its own only), the other names, the upper ones first, all at once.
// Names below may be of strangers, who can make them many, deep and silent: some are asked, for some time, and what is
// not vouched for by then is not believed.

import type { DnsQueryOptions, DnsResolver, DnsResult } from '../../protocol/dns/index.ts'

/** What the servers said of a name. */
export interface NegativeAnswer {
  readonly name: string
  readonly kind: 'nxdomain' | 'nodata'
}

/** What is not believed. */
export interface Doubt {
  readonly of: NegativeAnswer
  /** Why a name above could not be asked; '' when all that were asked are unknown, too. */
  readonly why: string
}

/** Asked in one search, the root included. Names of mail have three to five above them, mostly the same. */
const questionsMax = 16
const root = '.'

/** The first of the answers that the servers are not believed, or null. @param timeoutMs of the whole search */
export async function findDoubt(
  resolver: DnsResolver,
  negatives: readonly NegativeAnswer[],
  asking: DnsQueryOptions,
  timeoutMs: number = 30_000,
): Promise<Doubt | null> {
  const enough = new AbortController()
  const signal = AbortSignal.any([asking.signal, enough.signal])
  let doubted = negatives
  let why = ''
  const ask = async (above: string): Promise<void> => {
    const servers = await resolver.query(above, 'NS', { ...asking, signal })
    if (servers.kind === 'failure') why ||= servers.text
    else doubted = doubted.filter(negative => !vouches(above, servers, negative))
    if (doubted.length === 0) enough.abort()
  }
  const timer = setTimeout(() => enough.abort(), timeoutMs)
  try {
    if (doubted.length > 0) await ask(root)
    if (doubted.length > 0)
      await Promise.all(
        namesToAsk(doubted)
          .slice(0, questionsMax - 1)
          .map(ask),
      )
  } finally {
    clearTimeout(timer)
  }
  return doubted[0] === undefined ? null : { of: doubted[0], why }
}

/** Does what was told of a name make the answer believable? */
function vouches(above: string, servers: DnsResult<'NS'>, { name, kind }: NegativeAnswer): boolean {
  const isAbove = above === root || name.endsWith(`.${above}`)
  if (servers.kind === 'answer') return isAbove || (kind === 'nodata' && name === above)
  // That a name exists is enough to deny one below it. A root without name servers is none.
  return kind === 'nxdomain' && servers.kind === 'nodata' && isAbove && above !== root
}

/** The names that may vouch for these, but for the root: each once, those with fewest labels first. */
function namesToAsk(negatives: readonly NegativeAnswer[]): string[] {
  const names = new Map<string, number>()
  for (const { name, kind } of negatives) {
    const labels = name.split('.')
    for (let at = kind === 'nodata' ? 0 : 1; at < labels.length; at++)
      names.set(labels.slice(at).join('.'), labels.length - at)
  }
  return [...names].sort(([, a], [, b]) => a - b).map(([name]) => name)
}
