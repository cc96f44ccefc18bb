// Opens a connection to one of a plan's hosts: from "we need a connection" to a ready session, or why there is none.
//
// Plan:
// 1. Walk hosts and addresses in the plan's order, at most `addressesPerAttempt` of them dialled, in `openingMs` together:
//    each may take what leaves enough for the others (patience.ts). Who is not asked for want of time is a deferral.
// 2. An idle connection with the same pool key is taken over, but not one in clear text to a host that spoke TLS lately;
//    an address with too many connections is passed over.
// 3. An address that failed lately is not dialled: its last failure stands for it (host-health.ts). A failure of TLS or
//    of the login, and that a smarthost will not have us or is us, stand only for the same demands, unlike for others.
// 4. Dial with the TLS mode of the policy; judge what TLS turned out to be (tls-policy.ts). Who turns out to be this
//    server itself ends the walk: hosts behind us in the plan would bring the mail back.
// 5. Only after all hosts: those whose TLS failed may be dialled in clear text, when the table says `clear-last`. A host
//    that is full, or was not asked any more, might still have TLS.
// 6. Nobody: all failures go back; the caller makes an outcome of the most telling one. "Never" of a host, and an
//    address that no way leads to, are quick and use up no trial: mail bounces only when every host was asked.

import type { SecureContext } from 'node:tls'
import type { Clock } from '../base/index.ts'
import {
  type ConnectOptions,
  connectSmtp,
  defaultClientTimeouts,
  makeClientContext,
  type Outbox,
  type SmtpDial,
  type SmtpTicker,
} from '../protocol/smtp/client/index.ts'
import { Connection, type SessionOpener } from './connection.ts'
import type { EgressPath } from './egress-path.ts'
import { type HostFailure, hostFailure, notAsked, type TriedHost, tlsRefusal } from './host-failure.ts'
import type { HostHealth } from './host-health.ts'
import type { DeliveryOptions } from './options.ts'
import { Patience } from './patience.ts'
import type { ConnectionPool } from './pool.ts'
import type { HostMemory } from './port.ts'
import type { PlanHost } from './resolve/index.ts'
import { type Smarthost, smarthostPort } from './route.ts'
import { type TlsPolicy, tlsVerdict } from './tls-policy.ts'
import type { TlsSessions } from './tls-sessions.ts'
import type { UngroupedHosts } from './ungrouped-hosts.ts'

/** What to connect to. */
export interface OpenTarget {
  readonly hosts: readonly PlanHost[]
  readonly port: number
  readonly policy: TlsPolicy
  /** Null: by MX. */
  readonly smarthost: Smarthost | null
  /** Operator of the site, '' when unknown. */
  readonly site: string
  readonly path: EgressPath
}

/** A connection, or why none. `busy`: the hosts with these keys are well but have all the connections they may have. */
export type OpenResult =
  | { readonly kind: 'open'; readonly connection: Connection; readonly isTakenOver: boolean }
  | { readonly kind: 'busy'; readonly keys: readonly string[] }
  | { readonly kind: 'failed'; readonly failures: readonly HostFailure[]; readonly untilMs: number }

/** How a connection began: with TLS, in clear text, or not at all. */
export type ConnectionBegin = 'tls' | 'clear' | 'failed'

export interface OpenerPorts {
  readonly pool: ConnectionPool
  readonly health: HostHealth
  readonly ungrouped: UngroupedHosts
  readonly sessions: TlsSessions
  readonly memory: HostMemory
  readonly ticker: SmtpTicker
  readonly clock: Clock
  /** Ends all connecting at the end of a drain. */
  readonly signal: AbortSignal
  readonly outbox: Outbox
  /** A host that greets with it is this server itself; '' for none. */
  readonly ownGreetingId: string
  readonly connect?: SmtpDial
  /** Default `connectSmtp`. */
  readonly openSession?: SessionOpener
  /** Told how each dialling ended. */
  readonly onConnection?: (result: ConnectionBegin) => void
}

/** A domain with more refusing hosts than this has been asked enough. */
const failuresMax = 50

interface Candidate extends TriedHost {
  readonly address: string
  readonly family: 4 | 6
}

/** How an address is dialled. */
interface Dial {
  /** Without TLS, after it failed there. */
  readonly isClear: boolean
  /** From dialling to a ready session. */
  readonly handshakeMs: number
}

/** Opens connections for all next hops of a thread. */
export class ConnectionOpener {
  readonly #ports: OpenerPorts
  readonly #options: DeliveryOptions
  readonly #readBuffer: Buffer = Buffer.allocUnsafeSlow(65_536)
  /** Of all connections that need no authorities of the operator's. */
  readonly #context: SecureContext = makeClientContext()

  constructor(ports: OpenerPorts, options: DeliveryOptions) {
    this.#ports = ports
    this.#options = options
  }

  /** Never rejects. The path's slot is the caller's business. */
  async open(target: OpenTarget): Promise<OpenResult> {
    const failures: HostFailure[] = []
    const withoutTls: Candidate[] = []
    let untilMs = Number.POSITIVE_INFINITY
    let dialled = 0
    let isCutShort = false
    const full: string[] = []
    const patience = this.#patience()
    let left = addressCount(target)
    for (const candidate of candidatesOf(target)) {
      const untried = left--
      const key = this.#key(candidate, target)
      const idle = this.#ports.pool.idle(key)
      if (idle !== null && this.#mayUse(idle, candidate, target))
        return { kind: 'open', connection: idle, isTakenOver: true }
      isCutShort = dialled >= this.#options.addressesPerAttempt || failures.length >= failuresMax
      if (isCutShort) break
      const failure = this.#remembered(candidate, key)
      if (failure === null && this.#ports.pool.countOf(key) >= this.#options.connectionsPerHost) {
        full.push(key)
        continue
      }
      const handshakeMs = patience.nextMs(Math.min(untried, this.#options.addressesPerAttempt - dialled))
      if (failure === null && handshakeMs === 0) {
        isCutShort = true
        failures.push(notAsked(candidate))
        untilMs = 0
        break
      }
      const result = failure ?? (await this.#dial(candidate, target, key, { isClear: false, handshakeMs }))
      if (result instanceof Connection) return { kind: 'open', connection: result, isTakenOver: false }
      const mayGoClear = result.isTls && this.#mayGoClear(candidate, target)
      if (mayGoClear) withoutTls.push(candidate)
      // Whose TLS fails has answered, and before one of them is spoken to in clear text all of them are to be asked.
      const isNever = result.isPermanent || result.isRefusedByRelay === true
      const isAnswer = isNever || (mayGoClear && result.category !== 'timeout')
      const isQuick = isAnswer || result.hasNoWay === true
      if (failure === null && !isQuick) dialled++
      failures.push(failure === null ? result : { ...failure, isRemembered: true })
      if (result.isOurselves === true) break
      untilMs = Math.min(untilMs, this.#blockedUntilMs(candidate, key))
    }
    if (isCutShort || full.length > 0) withoutTls.length = 0
    for (const [index, candidate] of withoutTls.entries()) {
      const withTls = this.#key(candidate, target)
      const key = `${withTls}|clear`
      const { pool } = this.#ports
      const idle = pool.idle(key)
      if (idle !== null) return { kind: 'open', connection: idle, isTakenOver: true }
      if (pool.countOf(withTls) + pool.countOf(key) >= this.#options.connectionsPerHost) {
        full.push(key)
        continue
      }
      const handshakeMs = patience.nextMs(withoutTls.length - index)
      if (handshakeMs === 0) break
      const result = await this.#dial(candidate, target, key, { isClear: true, handshakeMs })
      if (result instanceof Connection) return { kind: 'open', connection: result, isTakenOver: false }
      failures.push(result)
    }
    return full.length > 0 ? { kind: 'busy', keys: full } : { kind: 'failed', failures, untilMs }
  }

  #patience(): Patience {
    const { openingMs, timeouts } = this.#options
    return new Patience(
      { openingMs, handshakeMs: timeouts.handshakeMs ?? defaultClientTimeouts.handshakeMs },
      this.#ports.clock,
    )
  }

  /** Pool keys of the hosts that come first: a connection with one of them serves the target as well as a new one. */
  servingKeys(target: OpenTarget): readonly string[] {
    return [...firstChoices(target)].map(candidate => this.#key(candidate, target))
  }

  /** May this connection, made for another name, carry mail of this target? */
  serves(connection: Connection, target: OpenTarget): boolean {
    for (const candidate of firstChoices(target))
      if (this.#key(candidate, target) === connection.key) return this.#mayUse(connection, candidate, target)
    return false
  }

  #key({ remoteAddress, host }: Candidate, { policy, smarthost }: OpenTarget): string {
    // A peer that proved one name has not proved another one that leads to the same address.
    const demand =
      policy === 'verified' ? `verified ${host}` : policy === 'opportunistic-clear' ? 'opportunistic' : policy
    const tls = smarthost?.isImplicitTls === true ? `smtps ${demand}` : demand
    // By MX and as a smarthost one server is two: it owes us other things, and its refusals mean others (outcome.ts).
    const as = smarthost === null ? 'mx' : `smarthost ${smarthost.loginId ?? ''}`
    return `${this.#options.source.name}|${remoteAddress}|${tls}|${as}`
  }

  /** The failure that stands for this address under these demands, if any. */
  #remembered({ remoteAddress }: Candidate, key: string): HostFailure | null {
    const { health, clock } = this.#ports
    const nowMs = clock.monotonicMs()
    return health.blocked(remoteAddress, nowMs) ?? health.blocked(key, nowMs)
  }

  #blockedUntilMs({ remoteAddress }: Candidate, key: string): number {
    const { health } = this.#ports
    return Math.max(health.blockedUntilMs(remoteAddress), health.blockedUntilMs(key))
  }

  /** What failed: the address for everybody, or what is asked of it under this key. */
  #failed(candidate: Candidate, key: string, failure: HostFailure): void {
    const { stage, isRefusedByRelay, isOurselves } = failure
    const isOfDemands =
      stage === 'starttls' || stage === 'auth' || isRefusedByRelay === true || isOurselves === true
    const what = isOfDemands ? key : candidate.remoteAddress
    this.#ports.health.failed(what, failure, this.#ports.clock.monotonicMs())
  }

  /** An idle connection in clear text may come from another name of the same address. */
  #mayUse(idle: Connection, candidate: Candidate, target: OpenTarget): boolean {
    const worked = this.#workedLately(candidate, target)
    return idle.tls !== '' || tlsVerdict(target.policy, 'not-offered', worked) === 'clear'
  }

  #mayGoClear(candidate: Candidate, target: OpenTarget): boolean {
    return tlsVerdict(target.policy, 'fails', this.#workedLately(candidate, target)) === 'clear-last'
  }

  #workedLately(candidate: Candidate, { smarthost }: OpenTarget): boolean {
    const lastMs = this.#ports.memory.lastTlsAtMs(tlsMemoryName(candidate, smarthost))
    return lastMs > 0 && this.#ports.clock.nowMs() - lastMs < this.#options.tlsMemoryMs
  }

  /** Step 4 for one address, told to the observer. */
  async #dial(
    candidate: Candidate,
    target: OpenTarget,
    key: string,
    dial: Dial,
  ): Promise<Connection | HostFailure> {
    const result = await this.#connect(candidate, target, key, dial)
    const isOpen = result instanceof Connection
    this.#ports.onConnection?.(!isOpen ? 'failed' : result.session.facts.tls === null ? 'clear' : 'tls')
    return result
  }

  async #connect(
    candidate: Candidate,
    target: OpenTarget,
    key: string,
    dial: Dial,
  ): Promise<Connection | HostFailure> {
    const { pool, health, sessions, memory, clock, signal } = this.#ports
    const { remoteAddress, host } = candidate
    for (const one of [remoteAddress, key]) health.trying(one)
    pool.opening(key, 1)
    const openSession = this.#ports.openSession ?? connectSmtp
    const result = await openSession(this.#connectOptions(candidate, target, dial))
    pool.opening(key, -1)
    // Not yet well: a host that greets and then drops us is no better than a dead one. The first answer counts.
    for (const one of [remoteAddress, key]) health.undecided(one)
    if (!result.ok) {
      const failure = hostFailure(result.failure, candidate)
      if (failure.isTls) sessions.delete(`${host} ${remoteAddress}`)
      const isItsFault = !failure.isPermanent && failure.isOurs !== true
      if (!signal.aborted && isItsFault) this.#failed(candidate, key, failure)
      return failure
    }
    const { session } = result
    // TLS from the first byte at one port says nothing of STARTTLS at another.
    const isImplicitTls = target.smarthost?.isImplicitTls === true
    if (session.facts.tls !== null && !isImplicitTls)
      memory.noteTls(tlsMemoryName(candidate, target.smarthost), clock.nowMs())
    else if (
      session.facts.tls === null &&
      !dial.isClear &&
      tlsVerdict(target.policy, 'not-offered', this.#workedLately(candidate, target)) !== 'clear'
    ) {
      void session.quit()
      const why = `${host} offers no STARTTLS now, but spoke TLS lately; clear text is refused`
      const failure = tlsRefusal(candidate, why)
      this.#failed(candidate, key, failure)
      return failure
    }
    const messagesMax = Math.min(
      this.#options.messagesPerConnection,
      session.facts.capabilities.mailMax ?? Number.POSITIVE_INFINITY,
    )
    const isOnTrial = health.hasFailed(remoteAddress)
    const facts = {
      session,
      key,
      remoteAddress,
      host,
      site: target.site,
      isSmarthost: candidate.isSmarthost,
      messagesMax,
      isOnTrial,
    }
    return new Connection(facts, target.path, clock.monotonicMs())
  }

  #connectOptions(candidate: Candidate, target: OpenTarget, { isClear, handshakeMs }: Dial): ConnectOptions {
    const { source, timeouts, limits, trust } = this.#options
    const { ticker, clock, outbox, signal, sessions, ungrouped, ownGreetingId, connect } = this.#ports
    const groupsTransactions = !ungrouped.has(candidate.remoteAddress, clock.monotonicMs())
    const localAddress = candidate.family === 4 ? source.ipv4 : source.ipv6
    const sessionKey = `${candidate.host} ${candidate.remoteAddress}`
    const session = sessions.get(sessionKey)
    const credentials = target.smarthost?.credentials
    const isImplicitTls = target.smarthost?.isImplicitTls === true
    const isRequired = target.policy === 'required' || target.policy === 'verified'
    return {
      address: candidate.address,
      port: target.port,
      heloName: source.ehloName,
      ownGreetingId,
      tls: {
        mode: isImplicitTls ? 'implicit' : isClear ? 'none' : isRequired ? 'required' : 'opportunistic',
        // The name of a literal is `[192.0.2.1]`: no server name, but an address that a certificate may prove.
        servername: candidate.host.startsWith('[') ? candidate.address : candidate.host,
        verify: target.policy === 'verified',
        secureContext: target.policy === 'verified' && trust !== null ? trust : this.#context,
        onSession: ticket => sessions.set(sessionKey, ticket),
        ...(session === undefined ? {} : { session }),
      },
      timeouts: { ...timeouts, handshakeMs },
      limits: { ...limits, groupsTransactions },
      ticker,
      outbox,
      signal,
      readBuffer: this.#readBuffer,
      ...(localAddress === '' ? {} : { localAddress }),
      ...(credentials === undefined ? {} : { auth: credentials }),
      ...(connect === undefined ? {} : { connect }),
    }
  }
}

/** Under what name it is remembered that TLS worked: another port of a smarthost may be another server. */
function tlsMemoryName({ host }: Candidate, smarthost: Smarthost | null): string {
  return smarthost === null || smarthost.port === smarthostPort ? host : `${host}:${smarthost.port}`
}

function* candidatesOf({ hosts, port, site, smarthost }: OpenTarget): Generator<Candidate> {
  const isSmarthost = smarthost !== null
  for (const host of hosts) {
    for (const { address, family } of host.addresses) {
      const remoteAddress = family === 4 ? `${address}:${port}` : `[${address}]:${port}`
      yield { host: host.name, address, family, remoteAddress, site, isSmarthost }
    }
  }
}

function addressCount({ hosts }: OpenTarget): number {
  return hosts.reduce((count, host) => count + host.addresses.length, 0)
}

/** Candidates of the best preference. */
function* firstChoices(target: OpenTarget): Generator<Candidate> {
  const best = target.hosts[0]?.preference
  yield* candidatesOf({ ...target, hosts: target.hosts.filter(host => host.preference === best) })
}
