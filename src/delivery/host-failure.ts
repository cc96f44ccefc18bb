// Why a host could not be used: connect, greeting, EHLO, TLS or AUTH failed. It belongs to the host, not to a recipient.
//
// Place on the path: connecting ▶ HOST FAILURE ▶ next MX host, or an outcome for all that wait when no host is left.
// Permanent is only a 5xx of an MX host in greeting or EHLO (RFC 7504), unless the rules know that it means later, and that
// an MX host is this server itself: everything else may mend. A smarthost that will not have us, or is this server, says
// nothing of who the mail is for: the operator mends that, and the mail waits (decision 0021).

import type { OutcomeScope, OutcomeStage } from '../events/index.ts'
import type { ConnectFailure, ConnectStage } from '../protocol/smtp/client/index.ts'
import { type Category, classifyReply } from './classify/index.ts'
import { oneLine } from './one-line.ts'
import { failureCodes } from './resolve/index.ts'

/** What an outcome needs to know about a failed host. */
export interface HostFailure {
  readonly stage: OutcomeStage
  readonly code: number
  readonly enhanced: string
  /** One line. */
  readonly text: string
  readonly isPermanent: boolean
  /** TLS is what failed: other policies may still use the host. */
  readonly isTls: boolean
  readonly remoteHost: string
  /** `address:port`. */
  readonly remoteAddress: string
  readonly tls: string
  readonly category: Category
  readonly scope: OutcomeScope
  readonly source: 'reply' | 'local'
  /** It says nothing of the host: this machine could not even try. */
  readonly isOurs?: true
  /** The host is this server itself. */
  readonly isOurselves?: true
  /** A smarthost will not have us, and said so before it heard of any mail: who comes by MX is told so itself. */
  readonly isRefusedByRelay?: true
  /** There is no way from here to such an address: nothing was sent, and no time went by. */
  readonly hasNoWay?: true
  /** It stands for a host that was not tried again so soon after. */
  readonly isRemembered?: true
}

/** A host and address as tried. */
export interface TriedHost {
  readonly host: string
  readonly remoteAddress: string
  /** Operator of the site, '' when unknown. */
  readonly site: string
  /** The operator named it: it takes mail for anybody, from whom it knows. */
  readonly isSmarthost: boolean
}

interface LocalWord {
  readonly enhanced: string
  readonly category: Category
  readonly scope: OutcomeScope
}

const lost: LocalWord = { enhanced: '4.4.2', category: 'connection-lost', scope: 'domain' }
const unreachable: LocalWord = { enhanced: '4.4.1', category: 'connect-failed', scope: 'domain' }
const tlsFailed: LocalWord = { enhanced: '4.7.5', category: 'tls', scope: 'domain' }
const ours: LocalWord = { enhanced: '4.3.5', category: 'other', scope: 'configuration' }

/** As the client says it. */
const ownGreeting = 'OWN_GREETING'

/** What we say where the peer said nothing, by stage. */
const wordByStage: Readonly<Record<ConnectStage, LocalWord>> = {
  connect: unreachable,
  greeting: lost,
  ehlo: lost,
  tls: tlsFailed,
  starttls: tlsFailed,
  auth: { enhanced: '4.7.8', category: 'credentials', scope: 'configuration' },
}

/** Codes that speak of this machine, not of the peer. */
const ownCodes = new Set([
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EMFILE',
  'ENFILE',
  'EACCES',
  'EPERM',
  'BAD_HELO_NAME',
])

/** No route, or no address of ours in this family: what a machine without IPv6 says of every IPv6 address. */
const noWayCodes = new Set(['ENETUNREACH', 'EAFNOSUPPORT', 'EADDRNOTAVAIL'])

const noDescriptors = new Set(['EMFILE', 'ENFILE'])

const stageOf: Readonly<Record<ConnectStage, OutcomeStage>> = {
  connect: 'connect',
  greeting: 'greeting',
  ehlo: 'ehlo',
  tls: 'starttls',
  starttls: 'starttls',
  auth: 'auth',
}

/** Turns the client's failure into ours. */
export function hostFailure(failure: ConnectFailure, tried: TriedHost): HostFailure {
  const { remoteAddress, host: remoteHost } = tried
  const stage = stageOf[failure.stage]
  const tls = failure.tls === null ? '' : `${failure.tls.protocol} ${failure.tls.cipher}`
  const common = { stage, remoteHost, remoteAddress, tls, isTls: stage === 'starttls' }
  if (failure.code === ownGreeting) return ourselves(tried, tls)
  const reply = failure.reply
  if (reply !== null && reply.code >= 400) {
    const text = oneLine(reply.lines.join(' '))
    const { code, enhanced } = reply
    const { category, scope, isTemporary } = classifyReply({ code, enhanced, text, site: tried.site, stage })
    const isRefusal = code >= 500 && !isTemporary && (stage === 'greeting' || stage === 'ehlo')
    const said = { ...common, code, enhanced, text, category, scope, source: 'reply' } as const
    return isRefusal && tried.isSmarthost ? refusedByRelay(said) : { ...said, isPermanent: isRefusal }
  }
  const isTimeout = failure.kind === 'timeout' && failure.stage !== 'connect'
  const isOurs = ownCodes.has(failure.code)
  const word = isOurs ? ours : wordByStage[failure.stage]
  const category = isTimeout ? 'timeout' : word.category
  const hint = noDescriptors.has(failure.code) ? 'no file descriptor left on this server: ' : ''
  const text = hint + oneLine(failure.message)
  const failed = {
    ...common,
    ...word,
    category,
    code: 451,
    text,
    isPermanent: false,
    source: 'local',
  } as const
  const hasNoWay = failure.stage === 'connect' && noWayCodes.has(failure.code)
  return { ...failed, ...(isOurs ? { isOurs } : {}), ...(hasNoWay ? { hasNoWay } : {}) }
}

/** Where the words alone would speak of the recipient's domain, or of an account, it is our configuration. */
function refusedByRelay(said: Omit<HostFailure, 'isPermanent'>): HostFailure {
  const category = said.category === 'domain-takes-no-mail' ? 'relay-denied' : said.category
  const scope = said.scope === 'address' ? said.scope : 'configuration'
  return { ...said, category, scope, isPermanent: false, isRefusedByRelay: true }
}

/**
 * The loop rule of RFC 5321 §5.1, where DNS did not show it: an address that is not of this machine leads back to it, by a
 * translation of addresses or a proxy. Codes and words as when the address itself is ours (resolve/failure.ts).
 */
function ourselves({ host, remoteAddress, isSmarthost }: TriedHost, tls: string): HostFailure {
  const { code, enhancedCode: enhanced } = failureCodes[isSmarthost ? 'smarthost-loop' : 'loop']
  const text = isSmarthost
    ? `mail of this route loops back to us: the smarthost that answers at ${host} is this server itself; name another one in the [[route]]`
    : `mail for this domain loops back to us: the server that answers at ${host} is this one; name the server that is to take the mail, in DNS or by a [[route]]`
  return {
    stage: 'greeting',
    code,
    enhanced,
    category: 'loop',
    scope: isSmarthost ? 'configuration' : 'domain',
    text,
    isPermanent: !isSmarthost,
    isTls: false,
    isOurselves: true,
    remoteHost: host,
    remoteAddress,
    tls,
    source: 'local',
  }
}

/** A host that will not do because of our TLS policy: STARTTLS worked there lately, or is required, and is not offered. */
export function tlsRefusal(tried: TriedHost, why: string): HostFailure {
  return {
    ...tlsFailed,
    enhanced: '4.7.10',
    stage: 'starttls',
    code: 451,
    text: why,
    isPermanent: false,
    isTls: true,
    remoteHost: tried.host,
    remoteAddress: tried.remoteAddress,
    tls: '',
    source: 'local',
  }
}

/** A host that was not asked, since those before it took all the time of the opening: it may well be well. */
export function notAsked(tried: TriedHost): HostFailure {
  return {
    ...unreachable,
    category: 'timeout',
    stage: 'connect',
    code: 451,
    text: 'not asked: the hosts before it took all the time that one attempt has',
    isPermanent: false,
    isTls: false,
    remoteHost: tried.host,
    remoteAddress: tried.remoteAddress,
    tls: '',
    source: 'local',
  }
}

/** A host that drops us, or falls silent, before it answered anything is as bad as one that cannot be reached. */
export function dropFailure(
  tried: TriedHost,
  tls: string,
  why: string,
  { isTimeout, isInData }: { readonly isTimeout: boolean; readonly isInData: boolean },
): HostFailure {
  return {
    ...lost,
    category: isTimeout ? 'timeout' : lost.category,
    stage: isInData ? 'data' : 'mail',
    code: 451,
    text: oneLine(why),
    isPermanent: false,
    isTls: false,
    remoteHost: tried.host,
    remoteAddress: tried.remoteAddress,
    tls,
    source: 'local',
  }
}

/** As they follow one another. */
const telling: readonly OutcomeStage[] = ['connect', 'greeting', 'ehlo', 'starttls', 'auth', 'mail', 'data']

/**
 * The failure that says most: a temporary one before permanent ones, a reply before silence, a
 * later stage before an earlier one.
 */
export function mostTelling(failures: readonly HostFailure[]): HostFailure | undefined {
  const weight = (one: HostFailure) =>
    (one.isPermanent ? 0 : 100) + (one.source === 'reply' ? 10 : 0) + telling.indexOf(one.stage)
  return failures.reduce<HostFailure | undefined>(
    (best, one) => (best === undefined || weight(one) > weight(best) ? one : best),
    undefined,
  )
}
