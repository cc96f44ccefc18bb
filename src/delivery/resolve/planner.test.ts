// Which hosts a domain's mail goes to, in which order and for how long, and what DNS says when there are none.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryPlan } from './index.ts'
import { a, failure, mx, names, setUp, signal } from './test-kit.ts'

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
