import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LabDns, type LabRecord, startLabDns } from '../../lab/dns/index.ts'
import { type DnsPorts, machinePorts, Resolver } from '../../protocol/dns/index.ts'
import {
  createAddressGuard,
  type DeliveryPlan,
  ownAddressCheck,
  Planner,
  type PlannerOptions,
  type PlanResult,
} from './index.ts'

const signal = new AbortController().signal

function mx(name: string, preference: number, exchange: string, ttlSeconds = 300): LabRecord {
  return { name, type: 'MX', data: { preference, exchange }, ttlSeconds }
}

function a(name: string, data: string): LabRecord {
  return { name, type: 'A', data }
}

/** A small generator with a seed, so that a share never fails by bad luck. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface Setup extends AsyncDisposable {
  readonly lab: LabDns
  readonly resolver: Resolver
  readonly planner: Planner
  readonly clock: { nowMs: number }
}

async function setUp(records: readonly LabRecord[], options: Partial<PlannerOptions> = {}): Promise<Setup> {
  const lab = await startLabDns({
    zones: [{ name: 'test', records, negativeTtlSeconds: 40, isSigned: true }],
  })
  const clock = { nowMs: 0 }
  const ports: DnsPorts = { ...machinePorts, monotonicMs: () => clock.nowMs }
  const server = { address: lab.address, port: lab.port, isTrusted: true }
  const resolver = new Resolver({ servers: [server], ports, attemptTimeoutMs: 600_000 })
  const planner = new Planner({
    resolver,
    monotonicMs: ports.monotonicMs,
    random: seededRandom(1),
    port: 25,
    isOwnAddress: () => false,
    guard: createAddressGuard([]),
    ...options,
  })
  const dispose = async (): Promise<void> => {
    await resolver[Symbol.asyncDispose]()
    await lab.close()
  }
  return { lab, resolver, planner, clock, [Symbol.asyncDispose]: dispose }
}

function names(result: PlanResult): string[] {
  assert.ok(result.kind === 'plan', result.kind === 'failure' ? result.text : '')
  return result.hosts.map(host => host.name)
}

function failure(result: PlanResult): string {
  assert.ok(result.kind === 'failure')
  assert.deepEqual([result.stage, result.scope], ['resolve', 'domain'])
  assert.equal(result.isPermanent, result.enhancedCode.startsWith('5'))
  return `${result.reason} ${result.code} ${result.enhancedCode}`
}

test('hosts come in the order of MX preference, each once, with IPv4 before IPv6', async () => {
  await using s = await setUp([
    mx('example.test', 20, 'c.example.test'),
    mx('example.test', 5, 'A.example.test'),
    mx('example.test', 10, 'b.example.test'),
    mx('example.test', 30, 'a.example.test'),
    ...['a', 'b', 'c'].map(one => a(`${one}.example.test`, '192.0.2.1')),
    { name: 'a.example.test', type: 'AAAA', data: '2001:db8::1' },
  ])
  const plan = await s.planner.plan('Example.test', { signal })
  assert.deepEqual(names(plan), ['a.example.test', 'b.example.test', 'c.example.test'])
  assert.ok(plan.kind === 'plan')
  assert.deepEqual(plan.hosts[0]?.addresses, [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ])
  assert.equal(plan.site, 'a.example.test,b.example.test,c.example.test')
  assert.equal(plan.domain, 'example.test')
  assert.equal(plan.isMxAuthenticated && plan.hosts[0].isAuthenticated, true)
})

test('families can be turned round or limited to one', async () => {
  const records = [
    mx('example.test', 5, 'a.example.test'),
    a('a.example.test', '192.0.2.1'),
    { name: 'a.example.test', type: 'AAAA', data: '2001:db8::1' } as const,
  ]
  const families = async (wanted: readonly (4 | 6)[]): Promise<number[]> => {
    await using s = await setUp(records, { families: wanted })
    const plan = await s.planner.plan('example.test', { signal })
    return plan.kind === 'plan' ? plan.hosts[0]!.addresses.map(one => one.family) : []
  }
  assert.deepEqual(await families([6, 4]), [6, 4])
  assert.deepEqual(await families([4]), [4])
})

test('hosts of equal preference share the load: over 200 plans each is first in 40 to 60 %', async () => {
  await using s = await setUp([
    mx('example.test', 10, 'a.example.test'),
    mx('example.test', 10, 'b.example.test'),
    mx('example.test', 20, 'c.example.test'),
    a('a.example.test', '192.0.2.1'),
    a('a.example.test', '192.0.2.4'),
    a('b.example.test', '192.0.2.2'),
    a('c.example.test', '192.0.2.3'),
  ])
  let aFirst = 0
  let lowAddressFirst = 0
  for (let i = 0; i < 200; i++) {
    const plan = i === 0 ? await s.planner.plan('example.test', { signal }) : s.planner.cached('example.test')
    assert.ok(plan?.kind === 'plan')
    assert.equal(plan.hosts[2]?.name, 'c.example.test')
    if (plan.hosts[0]?.name === 'a.example.test') aFirst++
    const hostA = plan.hosts.find(host => host.name === 'a.example.test')
    if (hostA?.addresses[0]?.address === '192.0.2.1') lowAddressFirst++
  }
  assert.ok(aFirst >= 80 && aFirst <= 120, `${aFirst}`)
  assert.ok(lowAddressFirst >= 80 && lowAddressFirst <= 120, `${lowAddressFirst}`)
  assert.equal(s.lab.countOf('example.test', 'MX'), 1)
})

test('a domain without MX records is its own host', async () => {
  await using s = await setUp([a('example.test', '192.0.2.1')])
  const plan = await s.planner.plan('example.test', { signal })
  assert.deepEqual(names(plan), ['example.test'])
  assert.equal(plan.kind === 'plan' && plan.isImplicitMx, true)
  assert.equal(plan.kind === 'plan' && plan.site, 'example.test')
})

test('a domain with neither MX nor address is a permanent failure', async () => {
  await using s = await setUp([{ name: 'example.test', type: 'TXT', data: 'hello' }])
  assert.equal(failure(await s.planner.plan('example.test', { signal })), 'no-records 550 5.1.2')
})

test('a domain that does not exist is a permanent failure', async () => {
  await using s = await setUp([])
  const result = await s.planner.plan('missing.test', { signal })
  assert.equal(failure(result), 'nxdomain 550 5.1.2')
  assert.equal(result.ttlMs, 40_000)
})

test('null MX is a permanent failure even when the domain has an address', async () => {
  await using s = await setUp([mx('example.test', 0, '.'), a('example.test', '192.0.2.1')])
  assert.equal(failure(await s.planner.plan('example.test', { signal })), 'null-mx 556 5.1.10')
  assert.equal(s.lab.countOf('example.test', 'A'), 0)
})

test('a null MX beside real ones is ignored', async () => {
  await using s = await setUp([
    mx('example.test', 0, '.'),
    mx('example.test', 5, 'a.example.test'),
    a('a.example.test', '192.0.2.1'),
  ])
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['a.example.test'])
})

test('a DNS failure is deferred, not bounced', async () => {
  await using s = await setUp([mx('example.test', 5, 'a.example.test')])
  s.lab.setFault('example.test', { kind: 'servfail' })
  const result = await s.planner.plan('example.test', { signal })
  assert.equal(failure(result), 'dns-failure 451 4.4.3')
  assert.match(result.kind === 'failure' ? result.text : '', /MX of example\.test: SERVFAIL/)
})

test('when only a DNS failure keeps a host from having an address, the mail is deferred', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'a.example.test'),
    mx('example.test', 10, 'gone.example.test'),
    a('a.example.test', '192.0.2.1'),
  ])
  s.lab.setFault('a.example.test', { kind: 'servfail' })
  assert.equal(failure(await s.planner.plan('example.test', { signal })), 'dns-failure 451 4.4.3')
})

test('hosts without an address are skipped; when none is left the failure is permanent and names them', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'gone.example.test'),
    mx('example.test', 10, 'b.example.test'),
    a('b.example.test', '192.0.2.1'),
    mx('void.test', 5, 'gone.example.test'),
  ])
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['b.example.test'])
  const result = await s.planner.plan('void.test', { signal })
  assert.equal(failure(result), 'no-address 550 5.4.4')
  assert.match(result.kind === 'failure' ? result.text : '', /gone\.example\.test \(does not exist\)/)
})

test('a broken AAAA does not hide the A, and such a plan is soon looked at again', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'a.example.test', 3000),
    a('a.example.test', '192.0.2.1'),
  ])
  s.lab.setRecords('a.example.test', 'A', ['192.0.2.1'], 3000)
  s.lab.setFault('a.example.test', { kind: 'servfail' }, 'AAAA')
  const plan = await s.planner.plan('example.test', { signal })
  assert.deepEqual(names(plan), ['a.example.test'])
  assert.equal(plan.ttlMs, 60_000)
})

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

test('an MX host behind a CNAME is followed', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'alias.example.test'),
    { name: 'alias.example.test', type: 'CNAME', data: 'real.example.test' },
    a('real.example.test', '192.0.2.1'),
  ])
  const plan = await s.planner.plan('example.test', { signal })
  assert.ok(plan.kind === 'plan')
  assert.equal(plan.hosts[0]?.name, 'alias.example.test')
  assert.equal(plan.hosts[0]?.canonicalName, 'real.example.test')
})

test('address literals are their own host', async () => {
  await using s = await setUp([])
  const v4 = await s.planner.plan('[192.0.2.7]', { signal })
  assert.ok(v4.kind === 'plan')
  assert.deepEqual(v4.hosts[0]?.addresses, [{ address: '192.0.2.7', family: 4 }])
  assert.equal(v4.site, '[192.0.2.7]')
  const v6 = await s.planner.plan('[IPv6:2001:DB8::1]', { signal })
  assert.ok(v6.kind === 'plan')
  assert.deepEqual(v6.hosts[0]?.addresses, [{ address: '2001:db8::1', family: 6 }])
  assert.equal(s.lab.counters.udp, 0)
})

test('what is neither a domain nor a literal is a permanent failure without a query', async () => {
  await using s = await setUp([])
  const bad = [
    '',
    '[127.1]',
    '[2001:db8::1]',
    '[IPv6:fe80::1%eth0]',
    '[192.0.2.1',
    'a..test',
    'a b.test',
    'a\r\n.test',
  ]
  for (const domain of bad) {
    const result = await s.planner.plan(domain, { signal })
    assert.equal(failure(result), 'bad-domain 550 5.1.3', domain)
    assert.doesNotMatch(result.kind === 'failure' ? result.text : '', /[\r\n]/)
  }
  assert.equal(s.lab.counters.udp, 0)
})

test('MX names that no host can have are skipped, and shown escaped', async () => {
  await using s = await setUp([
    mx('example.test', 5, 'a\r\nb.example.test'),
    mx('example.test', 6, '<b>.example.test'),
    mx('example.test', 10, 'ok.example.test'),
    a('ok.example.test', '192.0.2.1'),
    mx('void.test', 5, 'a\r\nb.example.test'),
  ])
  const plan = await s.planner.plan('example.test', { signal })
  assert.deepEqual(names(plan), ['ok.example.test'])
  assert.equal((plan as DeliveryPlan).site, 'ok.example.test')
  const result = await s.planner.plan('void.test', { signal })
  assert.match(result.kind === 'failure' ? result.text : '', /a\\013\\010b\.example\.test$/)
})

const ours = ownAddressCheck([{ address: '192.0.2.9', port: 25 }], ['192.0.2.9'])

test('our own host among the MX goes, with all of equal or worse preference', async () => {
  await using s = await setUp(
    [
      mx('example.test', 5, 'a.example.test'),
      mx('example.test', 10, 'us.example.test'),
      mx('example.test', 10, 'b.example.test'),
      mx('example.test', 20, 'c.example.test'),
      ...['a', 'b', 'c'].map(one => a(`${one}.example.test`, '192.0.2.1')),
      a('us.example.test', '192.0.2.9'),
    ],
    { isOwnAddress: ours },
  )
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['a.example.test'])
})

test('when we are the best host ourselves, the mail loops and fails permanently', async () => {
  await using s = await setUp(
    [
      mx('example.test', 10, 'us.example.test'),
      a('us.example.test', '192.0.2.9'),
      a('alone.test', '192.0.2.9'),
    ],
    { isOwnAddress: ours },
  )
  const result = await s.planner.plan('example.test', { signal })
  assert.equal(failure(result), 'loop 554 5.4.6')
  assert.match(result.kind === 'failure' ? result.text : '', /us\.example\.test is this server, at port 25/)
  assert.equal(failure(await s.planner.plan('alone.test', { signal })), 'loop 554 5.4.6')
  assert.equal(failure(await s.planner.plan('[192.0.2.9]', { signal })), 'loop 554 5.4.6')
})

test('our address at another port is another server', async () => {
  await using s = await setUp(
    [mx('example.test', 10, 'us.example.test'), a('us.example.test', '192.0.2.9')],
    {
      isOwnAddress: ours,
      port: 2525,
    },
  )
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['us.example.test'])
})

test('private addresses are refused with the setting that would allow them; public ones beside them stay', async () => {
  const records = [
    mx('inside.test', 5, 'db.inside.test'),
    a('db.inside.test', '10.0.0.5'),
    mx('mixed.test', 5, 'mx.mixed.test'),
    a('mx.mixed.test', '192.0.2.1'),
    { name: 'mx.mixed.test', type: 'AAAA', data: '::ffff:10.0.0.5' } as const,
  ]
  await using s = await setUp(records)
  const result = await s.planner.plan('inside.test', { signal })
  assert.equal(failure(result), 'private-address 550 5.4.4')
  assert.match(
    result.kind === 'failure' ? result.text : '',
    /private address space: db\.inside\.test has the address 10\.0\.0\.5; .*\[delivery\] allow_private/,
  )
  assert.equal(failure(await s.planner.plan('[127.0.0.1]', { signal })), 'private-address 550 5.4.4')
  const mixed = await s.planner.plan('mixed.test', { signal })
  assert.ok(mixed.kind === 'plan')
  assert.deepEqual(mixed.hosts[0]?.addresses, [{ address: '192.0.2.1', family: 4 }])
  await using allowing = await setUp(records, { guard: createAddressGuard(['10.0.0.0/24']) })
  assert.deepEqual(names(await allowing.planner.plan('inside.test', { signal })), ['db.inside.test'])
  s.planner.setGuard(createAddressGuard(['10.0.0.0/24']))
  assert.equal(s.planner.cached('inside.test'), undefined, 'a new guard forgets what the old one said')
  assert.deepEqual(names(await s.planner.plan('inside.test', { signal })), ['db.inside.test'])
})

test('a plan lives as long as its shortest answer, then DNS is asked again', async () => {
  await using s = await setUp([mx('example.test', 5, 'a.example.test'), a('a.example.test', '192.0.2.1')])
  assert.equal(s.planner.cached('example.test'), undefined)
  const plan = await s.planner.plan('example.test', { signal })
  assert.equal(plan.ttlMs, 40_000, 'the missing AAAA lives 40 s, the A 60 s, the MX 300 s')
  s.clock.nowMs += 39_999
  assert.equal(s.planner.cached('EXAMPLE.test')?.ttlMs, 1)
  s.clock.nowMs += 1
  assert.equal(s.planner.cached('example.test'), undefined)
  s.clock.nowMs += 20_000
  s.lab.setRecords('a.example.test', 'A', ['192.0.2.2'])
  const fresh = await s.planner.plan('example.test', { signal })
  assert.equal(fresh.kind === 'plan' && fresh.hosts[0]?.addresses[0]?.address, '192.0.2.2')
})

test('failures are remembered too, an aborted one is not', async () => {
  await using s = await setUp([a('slow.test', '192.0.2.1')])
  await s.planner.plan('missing.test', { signal })
  assert.equal(s.planner.cached('missing.test')?.kind, 'failure')
  s.lab.setFault('slow.test', { kind: 'drop' })
  const control = new AbortController()
  const waiting = s.planner.plan('slow.test', { signal: control.signal })
  control.abort()
  assert.equal(failure(await waiting), 'aborted 451 4.4.3')
  assert.equal(s.planner.cached('slow.test'), undefined)
})

test('a smarthost is resolved by address only, may be private, and may not be ourselves', async () => {
  await using s = await setUp([mx('relay.test', 5, 'other.test'), a('relay.test', '10.0.0.5')], {
    isOwnAddress: ownAddressCheck([{ address: '0.0.0.0', port: 2525 }], ['192.0.2.9']),
  })
  const plan = await s.planner.planSmarthost('Relay.test', 587, { signal })
  assert.deepEqual(names(plan), ['relay.test'])
  assert.equal(plan.kind === 'plan' && plan.site, 'relay.test:587')
  assert.equal(s.planner.cachedSmarthost('relay.test', 587)?.kind, 'plan')
  assert.equal(s.lab.countOf('relay.test', 'MX'), 0)
  for (const host of ['127.0.0.1', '[127.0.0.1]', '[::1]']) {
    assert.deepEqual((await s.planner.planSmarthost(host, 25, { signal })).kind, 'plan', host)
  }
  assert.equal(failure(await s.planner.planSmarthost('127.0.0.1', 2525, { signal })), 'loop 554 5.4.6')
  assert.equal(failure(await s.planner.planSmarthost('no host', 25, { signal })), 'bad-domain 550 5.1.3')
})
