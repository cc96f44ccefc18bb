// The hosts of a next hop: those of the latest plan of any domain that leads to it, in a fresh order for each opening.
//
// Many domains may share a next hop, and the DNS of each may be asked at another time: the latest answer counts for all.

import type { DeliveryPlan, PlanHost, Planner } from './resolve/index.ts'
import type { Smarthost } from './route.ts'

type KnownPlans = Pick<Planner, 'cached' | 'cachedSmarthost'>

/** See the head of the file. */
export class HopHosts {
  readonly #planner: KnownPlans
  readonly #smarthost: Smarthost | null
  /** The domain may have moved to other hosts meanwhile; the next hop stays what it is. */
  readonly #isSame: (plan: DeliveryPlan) => boolean
  #domain = ''
  #hosts: readonly PlanHost[] = []
  #plans = 0

  constructor(planner: KnownPlans, smarthost: Smarthost | null, isSame: (plan: DeliveryPlan) => boolean) {
    this.#planner = planner
    this.#smarthost = smarthost
    this.#isSame = isSame
  }

  /** False once they were forgotten, until the next plan. */
  get areKnown(): boolean {
    return this.#hosts.length > 0
  }

  /** Changes whenever they may have changed. */
  get plans(): number {
    return this.#plans
  }

  learn(domain: string, hosts: readonly PlanHost[]): void {
    this.#domain = domain
    this.#hosts = hosts
    this.#plans++
  }

  /** What plans may hold has changed: they may not be used any more. */
  forget(): void {
    this.#hosts = []
    this.#plans++
  }

  fresh(): readonly PlanHost[] {
    const smarthost = this.#smarthost
    const found =
      smarthost === null
        ? this.#planner.cached(this.#domain)
        : this.#planner.cachedSmarthost(smarthost.host, smarthost.port)
    if (found?.kind === 'plan' && this.#isSame(found)) this.#hosts = found.hosts
    return this.#hosts
  }
}
