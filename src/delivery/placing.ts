// From recipients to the ready queue of their next hop: route ▶ destination ▶ plan ▶ next hop.
//
// Place on the path: the first step of a delivery. All of it from memory on the hot path.
//
// What is known of the domain   what becomes of the batch
// a plan                        it goes to the next hop of these hosts under the policy of its age
// why there is no plan          it ends with that
// nothing                       it waits, with all others of the domain, for one answer; then as above, in steps
// an old plan, and no answer    when the time to wait for one is over, it goes by the old plan
// its route cannot be read      it waits for the operator, and goes no other way meanwhile
//
// Recipients of a message for one next hop stay together, as far as their plans are known and the provider takes several
// domains in a transaction.

import { type Clock, parseSmarthost } from '../base/index.ts'
import type { LeasedRecipient } from '../queue/index.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { Destination, Destinations } from './destinations.ts'
import type { Endings } from './endings.ts'
import type { LookupAsker } from './lookup-turns.ts'
import type { NextHops } from './next-hops.ts'
import type { DeliveryOptions } from './options.ts'
import type { PlanResult } from './resolve/index.ts'
import type { RouteTable } from './route.ts'
import { tlsPolicyFor } from './tls-policy.ts'

/** Batches that waited for a plan are placed so many at a time. */
const placedPerStep = 100

export interface PlacingPorts {
  readonly clock: Clock
  readonly destinations: Destinations
  readonly hops: NextHops
  readonly endings: Endings
  /** Ends all lookups when the engine stops. */
  readonly signal: AbortSignal
}

/** See the head of the file. */
export class Placing {
  readonly #ports: PlacingPorts
  readonly #options: DeliveryOptions
  /** For recipients that come from now on. */
  routes: RouteTable

  constructor(ports: PlacingPorts, options: DeliveryOptions, routes: RouteTable) {
    this.#ports = ports
    this.#options = options
    this.routes = routes
  }

  /** Brings each recipient of the batch to its next hop, or to its end. */
  place(batch: DeliveryBatch): void {
    const { recipients } = batch
    if (recipients.length === 1) {
      this.#placeOrEnd(batch, this.#destinationOf(recipients[0]!))
      return
    }
    for (const [destination, group] of this.#grouped(recipients)) {
      this.#placeOrEnd({ ...batch, recipients: group }, destination)
    }
  }

  /** Old plans whose new one does not come: what waits for it goes by the old one. It is still asked for. */
  placeOverdue(): void {
    for (const destination of this.#ports.destinations.takeOverdue()) this.#placeOverdue(destination)
  }

  /** Null: the operator has sent it somewhere, and where cannot be read. */
  #destinationOf({ route, domain }: LeasedRecipient): Destination | null {
    const { destinations } = this.#ports
    if (route === '') return destinations.of(domain, this.routes.find(domain))
    const parsed = parseSmarthost(route)
    return parsed.ok ? destinations.of(domain, parsed.value) : null
  }

  /** Recipients by next hop where it is known, else by domain; by domain, too, where a transaction takes but one. */
  #grouped(recipients: readonly LeasedRecipient[]): Map<Destination | null, LeasedRecipient[]> {
    const groups = new Map<Destination | null, LeasedRecipient[]>()
    const firstOfKey = new Map<string, Destination>()
    for (const recipient of recipients) {
      const own = this.#destinationOf(recipient)
      const destination = own === null ? null : this.#firstAlike(own, firstOfKey)
      const group = groups.get(destination)
      if (group === undefined) groups.set(destination, [recipient])
      else group.push(recipient)
    }
    return groups
  }

  /** The first destination of the batch that shares its next hop with this one. */
  #firstAlike(own: Destination, firstOfKey: Map<string, Destination>): Destination {
    const { destinations, hops } = this.#ports
    const key = hops.sharedKey(destinations.peek(own), own.smarthost)
    if (key === null) return own
    const first = firstOfKey.get(key) ?? own
    firstOfKey.set(key, first)
    return first
  }

  #placeOrEnd(batch: DeliveryBatch, destination: Destination | null): void {
    if (destination === null) this.#ports.endings.noWay(batch)
    else this.#place(batch, destination)
  }

  #place(batch: DeliveryBatch, destination: Destination): void {
    const result = this.#ports.destinations.peek(destination)
    if (result === null) this.#wait(batch, this.#ports.destinations.kept(destination))
    else this.#placeWith(result, batch, destination)
  }

  #wait(batch: DeliveryBatch, destination: Destination): void {
    if (destination.waiting === null) {
      destination.waiting = [batch]
      void this.#resolve(destination, askerOf(batch))
    } else {
      destination.waiting.push(batch)
      this.#ports.destinations.join(destination, askerOf(batch))
    }
  }

  #placeWith(result: PlanResult, batch: DeliveryBatch, destination: Destination): void {
    const { clock, endings, hops } = this.#ports
    if (result.kind === 'failure') {
      endings.noPlan(batch, result)
      return
    }
    const ageMs = clock.nowMs() - batch.message.acceptedAtMs
    const policy = tlsPolicyFor(destination.smarthost, ageMs, this.#options.tlsFallbackAfterMs)
    hops.find(destination, result, policy).push(batch)
  }

  async #resolve(destination: Destination, asker: LookupAsker): Promise<void> {
    const { destinations, signal } = this.#ports
    const result = await destinations.resolve(destination, asker, signal)
    const step = () => {
      for (const batch of destination.waiting?.splice(0, placedPerStep) ?? []) {
        this.#placeWith(result, batch, destination)
      }
      if (destination.waiting !== null && destination.waiting.length > 0) setImmediate(step)
      else destination.waiting = null
    }
    step()
  }

  #placeOverdue(destination: Destination): void {
    const result = this.#ports.destinations.peek(destination)
    if (result === null || destination.waiting === null) return
    for (const batch of destination.waiting.splice(0, placedPerStep)) {
      this.#placeWith(result, batch, destination)
    }
    if (destination.waiting.length > 0) setImmediate(() => this.#placeOverdue(destination))
  }
}

function askerOf({ message, recipients }: DeliveryBatch): LookupAsker {
  return { accountKey: message.accountKey, isFirst: recipients[0]!.attempts === 0 }
}
