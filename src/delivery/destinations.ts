// From a recipient's domain (or smarthost) to the hosts to try: remembered for the hot path, asked once for all who wait.
//
// Place on the path: route ▶ DESTINATION ▶ next hop. A destination keeps the last plan until its life is over; then the
// next recipient asks the planner, which has caches of its own. Recipients that come meanwhile wait for the one answer.

import type { Clock } from '../base/index.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { NextHop } from './next-hop.ts'
import type { Planner, PlanResult, ResolveFailure } from './resolve/index.ts'
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
  /** Next hops of the current plan, one a policy: one or two, so a list costs a tenth of a map. */
  hops: readonly NextHop[]
  /** Batches that wait for the plan; null while none is asked for. */
  waiting: DeliveryBatch[] | null
}

/** A plan without any life would be asked for at every message. */
const lifeMsMin = 1_000
const destinationsMax = 20_000
/**
 * Domains asked for at once; the rest wait in line. Ten thousand at once overran the resolver, which then refuses, and
 * each of them costs a listener on the one signal that ends them all.
 */
const resolvingMax = 200

/** All destinations of a thread. */
export class Destinations {
  readonly #destinations = new Map<string, Destination>()
  readonly #planner: PlanSource
  readonly #clock: Clock
  readonly #inLine = new Set<() => void>()
  #resolving = 0

  constructor(planner: PlanSource, clock: Clock) {
    this.#planner = planner
    this.#clock = clock
  }

  of(domain: string, smarthost: Smarthost | null): Destination {
    // Two routes may name one smarthost with different credentials or TLS.
    const key = smarthost === null ? domain : smarthostVariant(smarthost)
    const known = this.#destinations.get(key)
    if (known !== undefined) return known
    const made: Destination = {
      key,
      domain,
      smarthost,
      result: null,
      expiresAtMs: 0,
      hops: [],
      waiting: null,
    }
    this.#destinations.set(key, made)
    if (this.#destinations.size > destinationsMax) this.sweep()
    return made
  }

  /** The plan if it is known and alive; null: wait for `resolve`. */
  peek(destination: Destination): PlanResult | null {
    if (destination.result !== null && this.#clock.monotonicMs() < destination.expiresAtMs)
      return destination.result
    const { smarthost, domain } = destination
    const cached =
      smarthost === null
        ? this.#planner.cached(domain)
        : this.#planner.cachedSmarthost(smarthost.host, smarthost.port)
    return cached === undefined ? null : this.#set(destination, cached)
  }

  /** Asks for the plan. Never rejects: a planner that throws is a failure of ours. */
  async resolve(destination: Destination, signal: AbortSignal): Promise<PlanResult> {
    const { smarthost, domain } = destination
    if (this.#resolving < resolvingMax) this.#resolving++
    else await new Promise<void>(go => this.#inLine.add(go))
    try {
      const result =
        smarthost === null
          ? await this.#planner.plan(domain, { signal })
          : await this.#planner.planSmarthost(smarthost.host, smarthost.port, { signal })
      return this.#set(destination, result)
    } catch (error) {
      return plannerFault(domain, error)
    } finally {
      // The place goes to who has waited longest.
      const next = this.#inLine.values().next()
      if (next.done === true) this.#resolving--
      else {
        this.#inLine.delete(next.value)
        next.value()
      }
    }
  }

  /** Asks the planner again for each, after a change of what it answers. Those that are being asked for get their answer. */
  forgetPlans(): void {
    for (const one of this.#destinations.values()) one.expiresAtMs = 0
  }

  /** All batches that wait for a plan, taken out. */
  takeWaiting(): DeliveryBatch[] {
    const taken: DeliveryBatch[] = []
    for (const { waiting } of this.#destinations.values())
      if (waiting !== null) taken.push(...waiting.splice(0))
    return taken
  }

  /** Forgets what is out of date and not waited for; all of it when even so there are too many. */
  sweep(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [key, one] of this.#destinations) {
      if (one.waiting === null && one.expiresAtMs <= nowMs) this.#destinations.delete(key)
    }
    if (this.#destinations.size <= destinationsMax) return
    for (const [key, one] of this.#destinations) {
      if (this.#destinations.size <= destinationsMax / 2) return
      if (one.waiting === null) this.#destinations.delete(key)
    }
  }

  #set(destination: Destination, result: PlanResult): PlanResult {
    destination.result = result
    destination.expiresAtMs = this.#clock.monotonicMs() + Math.max(result.ttlMs, lifeMsMin)
    destination.hops = []
    return result
  }
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
