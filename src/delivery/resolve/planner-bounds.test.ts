// However many hosts and addresses DNS names: how many of them are used, and what that costs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAddressGuard, type DeliveryPlan, ownAddressCheck, Planner, type PlanResult } from './index.ts'
import { a, mx, names, seededRandom, setUp, signal } from './test-kit.ts'

test('at most fifty MX hosts are used, the best ones', async () => {
  const records = Array.from({ length: 60 }, (_, i) => [
    mx('example.test', 100 - i, `h${i}.example.test`),
    a(`h${i}.example.test`, '192.0.2.1'),
  ]).flat()
  await using s = await setUp(records)
  const hosts = names(await s.planner.plan('example.test', { signal }))
  assert.equal(hosts.length, 50)
  assert.equal(hosts[0], 'h59.example.test')
  assert.equal(hosts[49], 'h10.example.test')
})

/** Addresses of the plan, host by host. */
function addressCounts(result: PlanResult): number[] {
  assert.ok(result.kind === 'plan')
  return result.hosts.map(host => host.addresses.length)
}

function manyAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `11.0.${i >> 8}.${i & 255}`)
}

test('of fifty hosts with 1,990 addresses each at most 64 are used, at least one of each host', async () => {
  const hosts = Array.from({ length: 50 }, (_, i) => `h${i}.evil.test`)
  await using s = await setUp(hosts.map((host, i) => mx('evil.test', i, host)))
  for (const host of hosts) s.lab.setRecords(host, 'A', manyAddresses(1_990))
  const counts = addressCounts(await s.planner.plan('evil.test', { signal }))
  assert.deepEqual(counts, [15, ...new Array<number>(49).fill(1)])
})

test('the addresses of a long list that are used change from plan to plan', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'a.example.test'),
    mx('example.test', 9, 'b.example.test'),
  ])
  for (const host of ['a.example.test', 'b.example.test']) s.lab.setRecords(host, 'A', manyAddresses(400))
  const seen = new Set<string>()
  for (let turn = 0; turn < 20; turn++) {
    const plan = await s.planner.plan('example.test', { signal })
    assert.deepEqual(addressCounts(plan), [16, 16])
    for (const host of (plan as DeliveryPlan).hosts)
      for (const { address } of host.addresses) seen.add(address)
    s.clock.nowMs += 86_400_000
  }
  assert.ok(seen.size > 100, `${seen.size} of 400 addresses`)
})

test('however many addresses the hosts of a domain have, judging and drawing them holds the loop for less than 50 ms', async () => {
  const common = { kind: 'answer', ttlMs: 60_000, isAuthenticated: false } as const
  const addresses = manyAddresses(2_000)
  const records = {
    MX: Array.from({ length: 50 }, (_, i) => ({ preference: 10, exchange: `h${i}.evil.test` })),
    A: addresses.map(address => ({ address })),
    AAAA: addresses.map((_, i) => ({ address: `2600::${i.toString(16)}` })),
  }
  const query = async (name: string, type: string) =>
    ({ ...common, canonicalName: name, records: records[type as 'A'] }) as never
  const planner = new Planner({
    resolver: { query, cached: () => undefined },
    monotonicMs: () => 0,
    random: seededRandom(1),
    port: 25,
    isOwnAddress: ownAddressCheck([{ address: '0.0.0.0', port: 25 }], ['192.0.2.9']),
    guard: createAddressGuard([]),
  })
  // All of it happens in one turn of the event loop; the time of the processor is not that of other programs.
  const from = process.cpuUsage()
  await planner.plan('evil.test', { signal })
  for (let i = 0; i < 10; i++) planner.cached('evil.test')
  const { user, system } = process.cpuUsage(from)
  assert.ok(user + system < 50_000, `${(user + system) / 1000} ms`)
})
