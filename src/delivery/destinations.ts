// From a recipient's domain (or smarthost) to the hosts to try: remembered for the hot path, asked once for all who wait.
//
// Place on the path: route ▶ DESTINATION ▶ next hop. A destination keeps the last plan until its life is over; then the
// next recipient asks the planner, which has caches of its own. Recipients that come meanwhile wait for the one answer.
// Where it does not come soon, or DNS fails, a plan that was right less than a day ago serves on (RFC 8767). An answer
// is an answer: that a domain takes no mail or does not exist ends the old plan, and so does a reload.

import type { Clock } from '../base/index.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import { type LookupAsker, type LookupTurn, LookupTurns } from './lookup-turns.ts'
import type { NextHop } from './next-hop.ts'
import type { DeliveryPlan, Planner, PlanResult, ResolveFailure } from './resolve/index.ts'
import { type Smarthost, smarthostVariant } from './route.ts'

/** What destinations ask of the resolve stage. */
export type PlanSource = Pick<Planner, 'cached' | 'plan' | 'cachedSmarthost' | 'planSmarthost'>

/** A domain by MX, or a smarthost. */
export interface Destination {
  readonly key: string
  readonly domain: string
  readonly smarthost: Smarthost | null
  result: PlanResult | null
  /** Monotonic. */
  expiresAtMs: number
  /** Until then a plan that is out of date serves where no new one is to be had. Monotonic. */
  staleUntilMs: number
  /** Next hops of the current plan, one a policy: one or two, so a list costs a tenth of a map. */
  hops: readonly NextHop[]
  /** Batches that wait for the plan; null while none is asked for. */
  waiting: DeliveryBatch[] | null
  /** Since when there is no answer; monotonic, of the last question. */
  askedAtMs: number
  /** The place among the questions, while it is asked for. */
  turn: LookupTurn | null
}

/** A plan without any life would be asked for at every message. */
const lifeMsMin = 1_000
const destinationsMax = 20_000
/** Of all plans together: an ordinary domain has one to five, another may have fifty. */
const hostsMax = 200_000
/** RFC 8767 §4: one to three days. */
const staleMsMax = 86_400_000
/** RFC 8767 §5: how long the answer is waited for before an old one serves, and when DNS is asked again after a failure. */
const answerWaitMs = 1_800
const staleRecheckMs = 30_000
/**
 * Domains asked for at once; the rest wait in line. Ten thousand at once overran the resolver, which then refuses, and
 * each of them costs a listener on the one signal that ends them all. The resolver asks 200 questions at once, and
 * where more wait, accounts take turns: a domain may lead to fifty hosts with silent names, two questions each.
 */
const lookupBounds = { placesMax: 120, placesOfAccountMax: 80, placesOfRetriesMax: 50 }

/** All destinations of a thread. */
export class Destinations {
  readonly #destinations = new Map<string, Destination>()
  readonly #planner: PlanSource
  readonly #clock: Clock
  #hostCount = 0
  /** More than that make room. */
  #sizeBound = destinationsMax
  #hostsBound = hostsMax
  readonly #turns = new LookupTurns(lookupBounds)
  /** Those with an old plan whose new one is asked for, in the order of asking. */
  readonly #renewing = new Set<Destination>()

  constructor(planner: PlanSource, clock: Clock) {
    this.#planner = planner
    this.#clock = clock
  }

  of(domain: string, smarthost: Smarthost | null): Destination {
    // Two routes may name one smarthost with different credentials or TLS.
    const key = smarthost === null ? domain : smarthostVariant(smarthost)
    const known = this.#destinations.get(key)
    if (known !== undefined) return known
    if (this.#destinations.size >= this.#sizeBound || this.#hostCount > this.#hostsBound) this.#makeRoom()
    const made: Destination = {
      key,
      domain,
      smarthost,
      result: null,
      // Nothing to expire yet, but it is about to be asked for: a sweep must not take it for old.
      expiresAtMs: this.#clock.monotonicMs() + lifeMsMin,
      staleUntilMs: 0,
      hops: [],
      waiting: null,
      askedAtMs: 0,
      turn: null,
    }
    this.#destinations.set(key, made)
    return made
  }

  /**
   * The destination to wait at. To be asked for right before it waits: one message may have more domains than are remembered,
   * and of those that are forgotten again nobody would see what waits.
   */
  kept(destination: Destination): Destination {
    const known = this.#destinations.get(destination.key)
    if (known !== undefined) return known
    this.#destinations.set(destination.key, destination)
    this.#hostCount += hostsOf(destination.result)
    return destination
  }

  /** The plan if it is known and alive, or must do because no answer comes; null: wait for `resolve`. */
  peek(destination: Destination): PlanResult | null {
    const nowMs = this.#clock.monotonicMs()
    if (destination.result !== null && nowMs < destination.expiresAtMs) return destination.result
    const { smarthost, domain, waiting, askedAtMs } = destination
    const cached =
      smarthost === null
        ? this.#planner.cached(domain)
        : this.#planner.cachedSmarthost(smarthost.host, smarthost.port)
    if (cached !== undefined) return this.#renew(destination, cached)
    return waiting !== null && nowMs - askedAtMs >= answerWaitMs ? this.#stale(destination) : null
  }

  /** Asks for the plan. Never rejects: a planner that throws is a failure of ours. */
  async resolve(destination: Destination, asker: LookupAsker, signal: AbortSignal): Promise<PlanResult> {
    const { smarthost, domain } = destination
    destination.askedAtMs = this.#clock.monotonicMs()
    if (this.#stale(destination) !== null) this.#renewing.add(destination)
    const turn = this.#turns.take(asker)
    destination.turn = turn
    if (turn.ready !== null) await turn.ready
    const asking = { signal, asker: turn.holder!.key }
    try {
      const result =
        smarthost === null
          ? await this.#planner.plan(domain, asking)
          : await this.#planner.planSmarthost(smarthost.host, smarthost.port, asking)
      return this.#renew(destination, result)
    } catch (error) {
      return this.#stale(destination) ?? plannerFault(domain, error)
    } finally {
      destination.turn = null
      this.#renewing.delete(destination)
      this.#turns.release(turn)
    }
  }

  /** Somebody else waits for the plan that is asked for already. */
  join({ turn }: Destination, asker: LookupAsker): void {
    if (turn !== null) this.#turns.join(turn, asker)
  }

  /** Those whose new plan lets wait for it for too long, each once: what waits for them goes by the old one. */
  takeOverdue(): Destination[] {
    const nowMs = this.#clock.monotonicMs()
    const overdue: Destination[] = []
    for (const destination of this.#renewing) {
      if (nowMs - destination.askedAtMs < answerWaitMs) break
      this.#renewing.delete(destination)
      overdue.push(destination)
    }
    return overdue
  }

  /** Asks the planner again for each, after a change of what it answers. Those that are being asked for get their answer. */
  forgetPlans(): void {
    for (const one of this.#destinations.values()) {
      one.expiresAtMs = 0
      one.staleUntilMs = 0
    }
  }

  /** Shows all batches that wait for a plan. */
  eachWaiting(show: (batch: DeliveryBatch) => void): void {
    for (const { waiting } of this.#destinations.values()) waiting?.forEach(show)
  }

  /** All batches that wait for a plan, taken out. */
  takeWaiting(): DeliveryBatch[] {
    const taken: DeliveryBatch[] = []
    for (const { waiting } of this.#destinations.values())
      if (waiting !== null) taken.push(...waiting.splice(0))
    return taken
  }

  /** Forgets what can serve no more and is not waited for, and next hops out of use. */
  sweep(): void {
    this.#sweep(false)
  }

  #sweep(isCrowded: boolean): void {
    const nowMs = this.#clock.monotonicMs()
    for (const one of this.#destinations.values()) {
      const untilMs = isCrowded ? one.expiresAtMs : Math.max(one.expiresAtMs, one.staleUntilMs)
      if (one.waiting === null && untilMs <= nowMs) this.#forget(one)
      else if (one.hops.some(hop => hop.isClosed)) one.hops = one.hops.filter(hop => !hop.isClosed)
    }
  }

  /**
   * Forgets all that is out of date, and the oldest half when that is little. Who is waited for stays, and the next look
   * comes a tenth later.
   */
  #makeRoom(): void {
    const before = this.#destinations.size
    this.#sweep(true)
    if (before - this.#destinations.size < before / 10) {
      for (const one of this.#destinations.values()) {
        if (this.#destinations.size <= destinationsMax / 2 && this.#hostCount <= hostsMax / 2) break
        if (one.waiting === null) this.#forget(one)
      }
    }
    this.#sizeBound = Math.max(destinationsMax, this.#destinations.size + destinationsMax / 10)
    this.#hostsBound = Math.max(hostsMax, this.#hostCount + hostsMax / 10)
  }

  #forget(destination: Destination): void {
    this.#destinations.delete(destination.key)
    this.#hostCount -= hostsOf(destination.result)
  }

  /** The plan that is out of date, while it may serve. */
  #stale({ result, staleUntilMs }: Destination): DeliveryPlan | null {
    return result?.kind === 'plan' && this.#clock.monotonicMs() < staleUntilMs ? result : null
  }

  /** Takes an answer; a failure of DNS is none while the old plan may serve. */
  #renew(destination: Destination, result: PlanResult): PlanResult {
    const nowMs = this.#clock.monotonicMs()
    const isNone = result.kind === 'failure' && result.reason === 'dns-failure'
    const stale = isNone ? this.#stale(destination) : null
    if (stale !== null) {
      destination.expiresAtMs = Math.min(nowMs + staleRecheckMs, destination.staleUntilMs)
      return stale
    }
    const isKept = this.#destinations.get(destination.key) === destination
    if (isKept) this.#hostCount += hostsOf(result) - hostsOf(destination.result)
    destination.result = result
    destination.expiresAtMs = nowMs + Math.max(result.ttlMs, lifeMsMin)
    destination.staleUntilMs = result.kind === 'plan' ? destination.expiresAtMs + staleMsMax : 0
    destination.hops = []
    return result
  }
}

function hostsOf(result: PlanResult | null): number {
  return result?.kind === 'plan' ? result.hosts.length : 0
}

function plannerFault(domain: string, error: unknown): ResolveFailure {
  const why = error instanceof Error ? error.message : String(error)
  return {
    kind: 'failure',
    reason: 'dns-failure',
    isPermanent: false,
    code: 451,
    enhancedCode: '4.3.0',
    text: `the hosts of ${domain} could not be found because of a fault here: ${why}`,
    stage: 'resolve',
    scope: 'domain',
    domain,
    ttlMs: 0,
  }
}
