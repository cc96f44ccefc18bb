// Servers that fail: dead, silent, sick, without EDNS, with answers too large for a datagram.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLabDns } from '../../lab/dns/index.ts'
import { manualTimers, resolverFor, signal, zone } from './test-kit.ts'

test('a truncated answer is asked again by TCP', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const big = await resolver.query('big.test', 'A', { signal })
  assert.equal(big.kind === 'answer' && big.records.length, 120)
  assert.equal(lab.counters.tcp, 1)
  lab.setFault('example.test', { kind: 'truncated' })
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 2)
})

test('an answer that is cut in the middle of a record is asked again by TCP, and is not read as nothing there', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const cut = (right: Buffer): Buffer => {
    const short = Buffer.from(right.subarray(0, right.length - 5))
    short[2] = short[2]! | 0x02
    return short
  }
  lab.setFault('example.test', { kind: 'reply', make: (_, right, overTcp) => [overTcp ? right : cut(right)] })
  assert.equal((await resolver.query('example.test', 'MX', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
  lab.setFault('example.test', { kind: 'reply', make: (_, right) => [cut(right)] })
  const twice = await resolver.query('example.test', 'A', { signal })
  assert.equal(twice.kind === 'failure' && twice.code, 'MALFORMED')
})

test('a dead first server costs one wait each, rests after two, and the second answers', async () => {
  await using dead = await startLabDns({ zones: [zone] })
  await using live = await startLabDns({ zones: [zone] })
  const timers = manualTimers()
  await using resolver = resolverFor([dead, live], { ports: timers.ports })
  for (const name of ['a.test', 'b.test', 'c.test', 'd.test']) {
    dead.setFault(name, { kind: 'reply', make: timers.expire })
    live.setRecords(name, 'A', ['192.0.2.9'])
    assert.equal((await resolver.query(name, 'A', { signal })).kind, 'answer')
  }
  assert.equal(live.counters.udp, 4)
  assert.equal(dead.counters.udp, 2, 'after two failures in a row it rests')
  assert.equal(resolver.health[0]?.failures, 2)
})

test('a server whose IPv6 address has a zone is asked, by UDP and by TCP', async () => {
  await using lab = await startLabDns({ zones: [zone], address: '::1' })
  lab.setFault('null.test', { kind: 'truncated' })
  const servers = [{ address: '::1%lo', port: lab.port }]
  await using resolver = resolverFor(lab, { servers })
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal((await resolver.query('null.test', 'MX', { signal })).kind, 'answer')
  assert.deepEqual([lab.counters.udp, lab.counters.tcp], [2, 1])
})

test('a closed port reports at once and the next server answers', async () => {
  const gone = await startLabDns({ zones: [zone] })
  await gone.close()
  await using live = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor([gone, live])
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
})

test('when all servers are silent the result is a timeout that names name and server', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const timers = manualTimers()
  lab.setFault('example.test', { kind: 'reply', make: timers.expire })
  await using resolver = resolverFor(lab, { ports: timers.ports, attemptTimeoutMs: 2000 })
  const result = await resolver.query('example.test', 'A', { signal })
  assert.ok(result.kind === 'failure')
  assert.equal(result.code, 'TIMEOUT')
  assert.match(result.text, /A of example\.test: no answer within 4000 ms \(server 127\.0\.0\.1:\d+\)/)
  assert.equal(lab.countOf('example.test', 'A'), 2, 'asked once a round')
})

test('SERVFAIL from one server does not hide the answer of another', async () => {
  await using sick = await startLabDns({
    zones: [zone],
    faults: [{ name: 'example.test', fault: { kind: 'servfail' } }],
  })
  await using live = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor([sick, live])
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
})

test('a server that refuses EDNS is asked without it, and it is remembered', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  for (const name of ['example.test', 'null.test']) lab.setFault(name, { kind: 'no-edns' })
  await using resolver = resolverFor(lab)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.countOf('example.test', 'A'), 2)
  assert.equal((await resolver.query('null.test', 'MX', { signal })).kind, 'answer')
  assert.equal(lab.countOf('null.test', 'MX'), 1)
})
