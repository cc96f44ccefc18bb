// The order in which hosts and addresses are tried, drawn afresh for each delivery.
//
// RFC 5321 §5.1: lowest preference first, equal ones in random order, so that equal hosts share the load.
// Addresses of one host are drawn too, within each family. A plan with nothing to draw is passed on as it is.

import type { DeliveryPlan, PlanHost } from './types.ts'

/** True when some hosts share a preference or some host has several addresses of a family. */
export function hasTies(hosts: readonly PlanHost[]): boolean {
  return hosts.some((host, index) => host.preference === hosts[index + 1]?.preference || hasAddressTies(host))
}

function hasAddressTies(host: PlanHost): boolean {
  return host.addresses.some((one, index) => one.family === host.addresses[index + 1]?.family)
}

/**
 * The same plan with equal preferences and addresses of one family drawn in random order.
 * @param random from 0 up to but without 1.
 */
export function drawOrder(plan: DeliveryPlan, random: () => number): DeliveryPlan {
  const hosts = plan.hosts.map(host =>
    hasAddressTies(host)
      ? { ...host, addresses: shuffleRuns(host.addresses, one => one.family, random) }
      : host,
  )
  return { ...plan, hosts: shuffleRuns(hosts, host => host.preference, random) }
}

/** Shuffles each run of neighbours with the same key, and leaves the runs where they are. */
function shuffleRuns<T>(items: readonly T[], keyOf: (item: T) => number, random: () => number): T[] {
  const drawn = [...items]
  let start = 0
  while (start < drawn.length) {
    let end = start + 1
    while (end < drawn.length && keyOf(drawn[end]!) === keyOf(drawn[start]!)) end++
    for (let i = end - 1; i > start; i--) {
      const j = start + Math.floor(random() * (i - start + 1))
      const other = drawn[i]!
      drawn[i] = drawn[j]!
      drawn[j] = other
    }
    start = end
  }
  return drawn
}
