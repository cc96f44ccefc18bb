// All next hops and egress paths of a thread, by key; made when first needed, forgotten when long unused.
//
// A next hop's key holds what makes two domains the same to us: the same hosts in the same order of preference, port,
// TLS policy and credentials. Its egress path's key is source × site (or the smarthost).

import type { DeliveryBatch } from './delivery-batch.ts'
import type { Destination, PlanSource } from './destinations.ts'
import { EgressPath } from './egress-path.ts'
import { HopHosts } from './hop-hosts.ts'
import type { HopPorts } from './hop-ports.ts'
import { NextHop } from './next-hop.ts'
import { type DeliveryPlan, type PlanResult, takesOneDomain } from './resolve/index.ts'
import { type Smarthost, smarthostKey, smarthostVariant } from './route.ts'
import type { StepMember } from './step-line.ts'
import type { TlsPolicy } from './tls-policy.ts'

/** Looked at in one go at a tick, about a millisecond; more take further turns of the event loop. */
const hopsPerStep = 500
/** A drain of many domains uses each once: ten thousand of them are not kept for the next one. */
const unusedMs = 5_000
const unusedLearntMs = 60_000

/** See the head of the file. */
export class NextHops implements StepMember {
  readonly #hops = new Map<string, NextHop>()
  /** Those that the tick has still to look at; null between two rounds. */
  #round: Iterator<NextHop> | null = null
  #tickedMs = 0
  readonly #paths = new Map<string, EgressPath>()
  readonly #planner: PlanSource
  readonly #ports: HopPorts

  constructor(planner: PlanSource, ports: HopPorts) {
    this.#planner = planner
    this.#ports = ports
  }

  get size(): number {
    return this.#hops.size
  }

  /** The next hop of a destination under a policy. Hot path: one look into a short list. */
  find(destination: Destination, plan: DeliveryPlan, policy: TlsPolicy): NextHop {
    for (const known of destination.hops) if (known.target.policy === policy && !known.isClosed) return known
    const key = `${policy} ${hostsKey(plan, destination.smarthost)}`
    let hop = this.#hops.get(key)
    if (hop === undefined) {
      hop = this.#make(key, destination, plan, policy)
      this.#hops.set(key, hop)
    }
    // Comes here once for each new plan.
    hop.target.hosts.learn(destination.domain, plan.hosts)
    destination.hops = [...destination.hops.filter(({ target }) => target.policy !== policy), hop]
    return hop
  }

  /** What two destinations that share transactions have in common; null without a plan, and where none are shared. */
  sharedKey(result: PlanResult | null, smarthost: Smarthost | null): string | null {
    if (result?.kind !== 'plan') return null
    return smarthost === null && takesOneDomain(result.provider) ? null : hostsKey(result, smarthost)
  }

  forgetFailures(): void {
    for (const hop of this.#hops.values()) hop.forgetFailures()
  }

  /** What plans may hold has changed: what waits for a connection is to be placed again. */
  forgetHosts(): void {
    for (const hop of this.#hops.values()) hop.target.hosts.forget()
  }

  /** Once a second: each next hop, unless the last round is still under way. */
  tick(nowMs: number): void {
    if (this.#round !== null) return
    this.#round = this.#hops.values()
    this.#tickedMs = nowMs
    this.step()
  }

  /** Goes on with the round of the tick. */
  step(): void {
    if (this.#round === null) return
    for (let looked = 0; looked < hopsPerStep; looked++) {
      const { done, value } = this.#round.next()
      if (done === true) {
        this.#round = null
        return
      }
      value.tick(this.#tickedMs)
    }
    this.#ports.steps.add(this)
  }

  /** Shows all waiting batches. */
  eachWaiting(show: (batch: DeliveryBatch) => void): void {
    for (const { queue } of this.#hops.values()) queue.each(show)
  }

  /** Takes all waiting batches out. */
  drainQueues(): DeliveryBatch[] {
    return [...this.#hops.values()].flatMap(hop => hop.queue.drain())
  }

  sweep(nowMs: number): void {
    for (const [key, hop] of this.#hops) {
      const keptMs = hop.hasLearnt ? unusedLearntMs : unusedMs
      if (!hop.isEmpty || nowMs - hop.lastUsedMs < keptMs) continue
      hop.isClosed = true
      this.#hops.delete(key)
      const { path } = hop.target
      path.forget(hop)
      path.hops--
      if (path.hops === 0) this.#paths.delete(path.key)
    }
  }

  #make(key: string, { smarthost }: Destination, plan: DeliveryPlan, policy: TlsPolicy): NextHop {
    const { options } = this.#ports
    const site = smarthost === null ? plan.site : smarthostKey(smarthost)
    const path = this.#path(`${options.source.name}|${site}`)
    path.hops++
    const isSame = (found: DeliveryPlan) => `${policy} ${hostsKey(found, smarthost)}` === key
    const hosts = new HopHosts(this.#planner, smarthost, isSame)
    const port = smarthost?.port ?? options.mxPort
    const operator = smarthost === null ? (plan.provider ?? '') : ''
    return new NextHop({ key, port, policy, smarthost, site: operator, path, hosts }, this.#ports)
  }

  #path(key: string): EgressPath {
    let path = this.#paths.get(key)
    if (path === undefined) {
      path = new EgressPath(key, this.#ports.options)
      this.#paths.set(key, path)
    }
    return path
  }
}

function hostsKey({ hosts, site }: DeliveryPlan, smarthost: Smarthost | null): string {
  if (smarthost !== null) return smarthostVariant(smarthost)
  let rank = 0
  let last = Number.NaN
  const names = hosts.map(host => {
    if (host.preference !== last) rank++
    last = host.preference
    return `${rank} ${host.name}`
  })
  return `${site} ${names.sort().join(',')}`
}
