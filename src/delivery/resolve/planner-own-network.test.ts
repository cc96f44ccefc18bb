// Hosts that are this server itself, or in private networks, and smarthosts, which may be there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DnsResolver } from '../../protocol/dns/index.ts'
import { createAddressGuard, ownAddressCheck, type PlanResult } from './index.ts'
import { a, failure, mx, names, setUp, signal } from './test-kit.ts'

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

test('a host with our own name is asked who it is; all others of equal or worse preference go, whatever it answers', async () => {
  await using s = await setUp(
    [
      mx('example.test', 5, 'a.example.test'),
      mx('example.test', 10, 'relay.test'),
      mx('example.test', 10, 'b.example.test'),
      mx('example.test', 20, 'c.example.test'),
      mx('alias.test', 10, 'other-name.test'),
      mx('alias.test', 20, 'c.example.test'),
      { name: 'other-name.test', type: 'CNAME', data: 'relay.test' } as const,
      mx('nowhere.test', 10, 'b.example.test'),
      mx('nowhere.test', 20, 'c.example.test'),
      ...['a', 'b', 'c'].map(one => a(`${one}.example.test`, '192.0.2.1')),
      a('relay.test', '192.0.2.9'),
    ],
    { ownName: 'relay.test' },
  )
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['a.example.test', 'relay.test'])
  assert.deepEqual(names(await s.planner.plan('alias.test', { signal })), ['other-name.test'])
  assert.deepEqual(names(await s.planner.plan('relay.test', { signal })), ['relay.test'])
  assert.equal(names(await s.planner.plan('nowhere.test', { signal })).length, 2)
  assert.deepEqual(names(await s.planner.planSmarthost('relay.test', 25, { signal })), ['relay.test'])
})

test('a name without a dot is no name in DNS: nobody is ourselves by it', async () => {
  await using s = await setUp(
    [
      mx('example.test', 10, 'test'),
      mx('example.test', 20, 'a.example.test'),
      a('a.example.test', '192.0.2.1'),
      a('test', '192.0.2.2'),
    ],
    { ownName: 'test' },
  )
  assert.deepEqual(names(await s.planner.plan('example.test', { signal })), ['test', 'a.example.test'])
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
  const loop = await s.planner.planSmarthost('127.0.0.1', 2525, { signal })
  assert.equal(failure(loop), 'smarthost-loop 451 4.4.6')
  assert.match(
    loop.kind === 'failure' ? loop.text : '',
    /127\.0\.0\.1:2525 is this server itself.*\[\[route\]\]/,
  )
})

test('a smarthost that has no address, or can have none, is no word about the recipient: deferred, and asked for again soon', async () => {
  await using s = await setUp([mx('mail-only.test', 5, 'other.test')])
  for (const [host, why] of [
    ['nosuch.test', /smarthost nosuch\.test:25 does not exist/],
    ['mail-only.test', /smarthost mail-only\.test:25 has no address/],
    ['no host', /smarthost no host:25 is neither a host name nor an address/],
    ['fe80::1%eth0', /is neither/],
    [`${'a'.repeat(64)}.test`, /is neither/],
  ] as const) {
    const result = await s.planner.planSmarthost(host, 25, { signal })
    assert.equal(failure(result), 'smarthost-unusable 451 4.4.4', host)
    assert.match(result.kind === 'failure' ? result.text : '', why)
    assert.ok(result.ttlMs <= 5_000, host)
  }
  s.lab.setFault('ill.test', { kind: 'servfail' })
  assert.equal(failure(await s.planner.planSmarthost('ill.test', 25, { signal })), 'dns-failure 451 4.4.3')
})

test('a plan that was judged by a guard which a reload has replaced meanwhile is judged again, and not remembered', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  let isAsked = (): void => {}
  const asked = new Promise<void>(resolve => {
    isAsked = resolve
  })
  const witness: DnsResolver = {
    cached: () => undefined,
    query: async (name, type, asking) => {
      isAsked()
      await released
      return await s.resolver.query(name, type, asking)
    },
  }
  await using s = await setUp([a('inside.test', '10.1.2.3')], { witness })
  const planned = s.planner.plan('inside.test', { signal })
  await asked
  s.planner.setGuard(createAddressGuard(['10.0.0.0/8']))
  release()
  assert.deepEqual(names(await planned), ['inside.test'])
  assert.deepEqual(names(s.planner.cached('inside.test')!), ['inside.test'])
})

test('other resolvers are asked from a reload on: what the old ones said is forgotten, and nobody goes by what comes of them late', async () => {
  await using old = await setUp([a('relay.test', '192.0.2.1'), mx('example.test', 5, 'relay.test')])
  await using fresh = await setUp([a('relay.test', '192.0.2.2'), mx('example.test', 5, 'relay.test')])
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const late: DnsResolver = {
    cached: () => undefined,
    query: async (name, type, asking) => {
      await released
      return await old.resolver.query(name, type, asking)
    },
  }
  const addressOf = (result: PlanResult): string => {
    assert.ok(result.kind === 'plan')
    return result.hosts[0]!.addresses[0]!.address
  }
  const { planner } = old
  assert.equal(addressOf(await planner.plan('example.test', { signal })), '192.0.2.1')
  planner.setResolvers({ resolver: late })
  assert.equal(planner.cached('example.test'), undefined)
  const planned = [
    planner.plan('example.test', { signal }),
    planner.planSmarthost('relay.test', 25, { signal }),
  ]
  planner.setResolvers({ resolver: fresh.resolver })
  release()
  assert.deepEqual((await Promise.all(planned)).map(addressOf), ['192.0.2.2', '192.0.2.2'])
  assert.equal(addressOf(planner.cachedSmarthost('relay.test', 25)!), '192.0.2.2')
})
