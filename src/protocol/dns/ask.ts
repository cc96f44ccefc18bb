// Asks the servers one question until one of them gives a usable reply.
//
// Plan: for each round, for each server in the order of their health:
// 1. UDP with a fresh id, source port and letter case.
// 2. Truncated, letter case not kept for the first time, or too many foreign datagrams: the same by TCP.
// 3. FORMERR or NOTIMP to EDNS: once more without it; an answer to that is remembered of the server for a while.
// 4. NOERROR or NXDOMAIN: done. Another code: this server is not asked again for this query.
// 5. Timeout, socket error, nonsense: the next server; the next round waits twice as long.
// Nobody left: the failure that says most (a server's word over our timeout).

import type { ServerList, ServerState } from './health.ts'
import type { DnsReply } from './message.ts'
import { mixCase } from './name.ts'
import { askByTcp, askByUdp, type Exchange, type ExchangeOptions } from './transport.ts'
import type { DnsFailureCode, DnsPorts, DnsType } from './types.ts'

/** How telling a failure is; the highest seen is reported. */
const failureRank: Readonly<Partial<Record<DnsFailureCode, number>>> = {
  SERVFAIL: 6,
  REFUSED: 5,
  FORMERR: 4,
  NOTIMP: 4,
  RCODE: 4,
  MALFORMED: 3,
  TIMEOUT: 2,
  NETWORK: 1,
}

const codeNames: ReadonlyMap<number, DnsFailureCode> = new Map([
  [1, 'FORMERR'],
  [2, 'SERVFAIL'],
  [4, 'NOTIMP'],
  [5, 'REFUSED'],
])

export interface AskContext {
  readonly ports: DnsPorts
  readonly servers: ServerList
  readonly attemptTimeoutMs: number
  readonly rounds: number
  readonly mixCase: boolean
}

export type Asked =
  | { readonly kind: 'reply'; readonly reply: DnsReply; readonly isTrusted: boolean; readonly server: string }
  | {
      readonly kind: 'failure'
      readonly code: DnsFailureCode
      readonly why: string
      readonly server: string
    }

/** Asks until a usable reply or nobody is left. Abort ends it at once as ABORTED. */
export async function ask(
  context: AskContext,
  name: string,
  type: DnsType,
  signal: AbortSignal,
): Promise<Asked> {
  let failure: Asked & { kind: 'failure' } = {
    kind: 'failure',
    code: 'NETWORK',
    why: 'no server',
    server: '',
  }
  const hasSpoken = new Set<ServerState>()
  for (let round = 0; round < context.rounds; round++) {
    for (const state of context.servers.order()) {
      if (hasSpoken.has(state)) continue
      const timeoutMs = context.attemptTimeoutMs * 2 ** round
      const startedMs = context.ports.monotonicMs()
      const exchange = await askServer(context, state, name, type, timeoutMs, signal)
      if (exchange.kind === 'reply') {
        context.servers.succeeded(state, exchange.elapsedMs)
        const { reply } = exchange
        if (isAnswer(exchange)) {
          return { kind: 'reply', reply, isTrusted: state.server.isTrusted === true, server: state.label }
        }
        hasSpoken.add(state)
      } else if (exchange.kind !== 'aborted') {
        context.servers.failed(state, startedMs)
      }
      const now = failureOf(exchange, state.label, timeoutMs)
      if (now.code === 'ABORTED') return now
      if (rankOf(now.code) >= rankOf(failure.code)) failure = now
    }
  }
  return failure
}

function rankOf(code: DnsFailureCode): number {
  return failureRank[code] ?? 0
}

function failureOf(exchange: Exchange, server: string, timeoutMs: number): Asked & { kind: 'failure' } {
  const base = { kind: 'failure', server } as const
  switch (exchange.kind) {
    case 'reply': {
      const code = codeNames.get(exchange.reply.rcode) ?? 'RCODE'
      return { ...base, code, why: code === 'RCODE' ? `response code ${exchange.reply.rcode}` : code }
    }
    case 'timeout':
      return { ...base, code: 'TIMEOUT', why: `no answer within ${timeoutMs} ms` }
    case 'guessed':
      return { ...base, code: 'MALFORMED', why: 'only replies to other questions came back' }
    case 'malformed':
      return { ...base, code: 'MALFORMED', why: `the answer is broken: ${exchange.why}` }
    case 'network':
      return { ...base, code: 'NETWORK', why: exchange.why }
    case 'aborted':
      return { ...base, code: 'ABORTED', why: 'the query was given up' }
  }
}

/** One server, with the detours it needs. */
async function askServer(
  context: AskContext,
  state: ServerState,
  name: string,
  type: DnsType,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Exchange> {
  const { keepsCase } = state
  const known = keepsCase.value
  const mixes = context.mixCase && known !== 'no'
  const asked = mixes ? mixCase(name, context.ports.randomInt) : name
  let hasEdns = state.hasEdns.value !== 'no'
  const options = (): ExchangeOptions => ({
    ports: context.ports,
    address: state.server.address,
    port: state.server.port ?? 53,
    question: { id: context.ports.randomInt(0x1_0000), name: asked === '' ? '.' : asked, type },
    flags: { hasEdns, isDnssecAsked: state.server.isTrusted === true },
    timeoutMs,
    mustKeepCase: mixes && known === 'yes',
    signal,
  })
  let exchange = await askByUdp(options())
  if (hasEdns && isEdnsRefused(exchange)) {
    hasEdns = false
    exchange = await askByUdp(options())
    // Only an answer shows that EDNS was what it did not like.
    if (isAnswer(exchange)) state.hasEdns.set(false)
  }
  if (exchange.kind === 'guessed') {
    const overTcp = await askByTcp(options())
    // It used to keep our letters and does not any more (another server behind the same address).
    if (mixes && overTcp.kind === 'reply' && !overTcp.reply.hasSameCase) keepsCase.set(false)
    return overTcp
  }
  if (exchange.kind !== 'reply') return exchange
  const { reply } = exchange
  if (reply.isTruncated) return askByTcp(options())
  if (!mixes || asked === name || known !== 'unknown') return exchange
  if (reply.hasSameCase) {
    // A refusal may come as a mere header, without our letters.
    if (isAnswer(exchange)) keepsCase.set(true)
    return exchange
  }
  // The first reply without our letters may be forged; TCP cannot be guessed, so let it decide. A server that takes no TCP
  // is believed all the same, from the next question on: it would never be heard else.
  const overTcp = await askByTcp(options())
  if (overTcp.kind !== 'aborted') keepsCase.set(overTcp.kind === 'reply' && overTcp.reply.hasSameCase)
  return overTcp
}

function isAnswer(exchange: Exchange): boolean {
  return exchange.kind === 'reply' && (exchange.reply.rcode === 0 || exchange.reply.rcode === 3)
}

function isEdnsRefused(exchange: Exchange): boolean {
  return exchange.kind === 'reply' && (exchange.reply.rcode === 1 || exchange.reply.rcode === 4)
}
