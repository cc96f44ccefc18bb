// What the resolver remembers, for how long, and how much of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLabDns } from '../../lab/dns/index.ts'
import { movableClock, resolverFor, signal, ttlOf, zone } from './test-kit.ts'

test('an answer is used until its TTL is over and then asked again', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const clock = movableClock()
  await using resolver = resolverFor(lab, { ports: clock.ports })
  assert.equal(resolver.cached('example.test', 'A'), undefined)
  await resolver.query('example.test', 'A', { signal })
  clock.nowMs += 599_000
  const still = resolver.cached('EXAMPLE.test', 'A')
  assert.equal(still?.kind === 'answer' && still.ttlMs, 1000)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.countOf('example.test', 'A'), 1)
  clock.nowMs += 1000
  assert.equal(resolver.cached('example.test', 'A'), undefined)
  lab.setRecords('example.test', 'A', ['192.0.2.77'])
  const fresh = await resolver.query('example.test', 'A', { signal })
  assert.deepEqual(fresh.kind === 'answer' && fresh.records, [{ address: '192.0.2.77' }])
  assert.equal(lab.countOf('example.test', 'A'), 2)
})

test('TTLs of positive answers are clamped at both ends', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setRecords('zero.test', 'A', ['192.0.2.2'], 0)
  lab.setRecords('forever.test', 'A', ['192.0.2.3'], 2_000_000)
  lab.setRecords('topbit.test', 'A', ['192.0.2.4'], 0xffff_ffff)
  await using resolver = resolverFor(lab, { ttlMsMin: 3000, ttlMsMax: 90_000 })
  assert.equal(ttlOf(await resolver.query('zero.test', 'A', { signal })), 3000)
  assert.equal(ttlOf(await resolver.query('forever.test', 'A', { signal })), 90_000)
  assert.equal(ttlOf(await resolver.query('topbit.test', 'A', { signal })), 3000)
})

test('NXDOMAIN and NODATA are different and live as long as the SOA minimum says', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const clock = movableClock()
  await using resolver = resolverFor(lab, { ports: clock.ports })
  const missing = await resolver.query('missing.test', 'MX', { signal })
  assert.deepEqual(missing, { kind: 'nxdomain', ttlMs: 30_000, isAuthenticated: false })
  const noData = await resolver.query('null.test', 'A', { signal })
  assert.deepEqual(noData, { kind: 'nodata', ttlMs: 30_000, isAuthenticated: false })
  clock.nowMs += 29_999
  assert.equal(resolver.cached('missing.test', 'MX')?.kind, 'nxdomain')
  clock.nowMs += 1
  assert.equal(resolver.cached('missing.test', 'MX'), undefined)
})

test('SERVFAIL is a failure remembered for seconds only', async () => {
  await using lab = await startLabDns({
    zones: [zone],
    faults: [{ name: 'example.test', fault: { kind: 'servfail' } }],
  })
  const clock = movableClock()
  await using resolver = resolverFor(lab, { ports: clock.ports })
  const bad = await resolver.query('example.test', 'MX', { signal })
  assert.ok(bad.kind === 'failure')
  assert.equal(bad.code, 'SERVFAIL')
  assert.equal(bad.server, `127.0.0.1:${lab.port}`)
  assert.match(bad.text, /MX of example\.test: SERVFAIL/)
  assert.equal((await resolver.query('example.test', 'MX', { signal })).kind, 'failure')
  assert.equal(lab.countOf('example.test', 'MX'), 1)
  lab.setFault('example.test', null)
  clock.nowMs += 5000
  assert.equal((await resolver.query('example.test', 'MX', { signal })).kind, 'answer')
})

test('the cache is bounded and forgets what was not used for longest', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab, { cacheEntriesMax: 2 })
  await resolver.query('example.test', 'A', { signal })
  await resolver.query('example.test', 'AAAA', { signal })
  assert.ok(resolver.cached('example.test', 'A'))
  await resolver.query('example.test', 'MX', { signal })
  assert.equal(resolver.cached('example.test', 'AAAA'), undefined)
  assert.ok(resolver.cached('example.test', 'A'))
  assert.equal(resolver.counters.cacheEntries, 2)
})

test('the cache is bounded in bytes too: large answers go before many small ones fill it', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  for (let i = 0; i < 10; i++) lab.setRecords(`txt${i}.test`, 'TXT', ['x'.repeat(20_000)])
  await using resolver = resolverFor(lab, { cacheBytesMax: 100_000 })
  await resolver.query('example.test', 'A', { signal })
  for (let i = 0; i < 10; i++) await resolver.query(`txt${i}.test`, 'TXT', { signal })
  assert.equal(resolver.counters.cacheEntries, 2, 'a text and its bytes are 40,000 each')
  assert.equal(resolver.cached('example.test', 'A'), undefined)
  assert.ok(resolver.cached('txt9.test', 'TXT'))
})

test('an answer of more records than anybody needs is used and not remembered', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const big = await resolver.query('big.test', 'A', { signal })
  assert.equal(big.kind === 'answer' && big.records.length, 120)
  assert.equal(resolver.counters.cacheEntries, 0)
  await resolver.query('example.test', 'A', { signal })
  assert.equal(resolver.counters.cacheEntries, 1)
})
