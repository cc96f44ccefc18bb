// Questions and answers: record types, CNAMEs, questions that are shared, given up or too many, names that cannot be.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { startLabDns } from '../../lab/dns/index.ts'
import { type DnsPorts, machinePorts } from './index.ts'
import { resolverFor, signal, zone } from './test-kit.ts'

test('each record type comes back in its own shape', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const mx = await resolver.query('Example.TEST.', 'MX', { signal })
  assert.ok(mx.kind === 'answer')
  assert.deepEqual(mx.records, [
    { preference: 10, exchange: 'mx1.example.test' },
    { preference: 20, exchange: 'mx2.example.test' },
  ])
  const nullMx = await resolver.query('null.test', 'MX', { signal })
  assert.deepEqual(nullMx.kind === 'answer' && nullMx.records, [{ preference: 0, exchange: '' }])
  const a = await resolver.query('example.test', 'A', { signal })
  assert.deepEqual(a.kind === 'answer' && a.records, [{ address: '192.0.2.1' }])
  const aaaa = await resolver.query('example.test', 'AAAA', { signal })
  assert.deepEqual(aaaa.kind === 'answer' && aaaa.records, [{ address: '2001:db8::1' }])
  const txt = await resolver.query('long.test', 'TXT', { signal })
  assert.equal(txt.kind === 'answer' && txt.records[0]?.text, 'x'.repeat(700))
  const cname = await resolver.query('alias.test', 'CNAME', { signal })
  assert.deepEqual(cname.kind === 'answer' && cname.records, [{ target: 'example.test' }])
  const ptr = await resolver.query('1.2.0.192.in-addr.arpa.test', 'PTR', { signal })
  assert.deepEqual(ptr.kind === 'answer' && ptr.records, [{ target: 'host.example.test' }])
  const tlsa = await resolver.query('_25._tcp.mx1.example.test', 'TLSA', { signal })
  assert.ok(tlsa.kind === 'answer')
  assert.equal(tlsa.records[0]?.usage, 3)
  assert.deepEqual(tlsa.records[0]?.certificate, Buffer.alloc(32, 7))
})

test('REFUSED and broken answers are failures with their own codes', async () => {
  await using lab = await startLabDns({
    zones: [zone],
    faults: [
      { name: 'example.test', type: 'A', fault: { kind: 'refuse' } },
      { name: 'example.test', type: 'MX', fault: { kind: 'malformed' } },
    ],
  })
  await using resolver = resolverFor(lab)
  const refused = await resolver.query('example.test', 'A', { signal })
  assert.equal(refused.kind === 'failure' && refused.code, 'REFUSED')
  const broken = await resolver.query('example.test', 'MX', { signal })
  assert.equal(broken.kind === 'failure' && broken.code, 'MALFORMED')
})

test('a name that DNS cannot hold is refused without a query', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  for (const name of [
    '',
    'a..test',
    '.test',
    `${'a'.repeat(64)}.test`,
    'a b.test',
    'bücher.test',
    'a\0.test',
  ]) {
    const result = await resolver.query(name, 'A', { signal })
    assert.equal(result.kind === 'failure' && result.code, 'BAD_NAME', name)
  }
  assert.equal(lab.counters.udp, 0)
})

test('the same question at the same time goes out once', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const all = await Promise.all(
    Array.from({ length: 50 }, () => resolver.query('example.test', 'MX', { signal })),
  )
  assert.ok(all.every(result => result.kind === 'answer'))
  assert.equal(lab.countOf('example.test', 'MX'), 1)
  assert.equal(resolver.counters.shared, 49)
})

test('one impatient caller does not take the answer from the others', async () => {
  await using lab = await startLabDns({
    zones: [zone],
    faults: [{ name: 'example.test', fault: { kind: 'slow', delayMs: 40 } }],
  })
  await using resolver = resolverFor(lab)
  const impatient = new AbortController()
  const first = resolver.query('example.test', 'A', { signal: impatient.signal })
  const second = resolver.query('example.test', 'A', { signal })
  impatient.abort()
  const gone = await first
  assert.equal(gone.kind === 'failure' && gone.code, 'ABORTED')
  assert.equal((await second).kind, 'answer')
})

test('when every caller has gone the question is given up and not remembered', async () => {
  await using lab = await startLabDns({
    zones: [zone],
    faults: [{ name: 'example.test', fault: { kind: 'drop' } }],
  })
  await using resolver = resolverFor(lab)
  const control = new AbortController()
  const result = resolver.query('example.test', 'A', { signal: control.signal })
  control.abort()
  assert.equal((await result).kind, 'failure')
  lab.setFault('example.test', null)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
})

test('more queries than allowed at once wait for their turn, and too many waiting are refused', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab, { inFlightMax: 2, waitingMax: 3 })
  const names = ['c12.test', 'example.test', 'big.test', 'null.test', 'long.test', 'one-more.test']
  const results = await Promise.all(names.map(name => resolver.query(name, 'AAAA', { signal })))
  assert.equal(results.filter(r => r.kind !== 'failure').length, 5)
  const last = results[5]
  assert.equal(last?.kind === 'failure' && last.code, 'OVERLOADED')
})

for (const followCname of [true, false]) {
  const how = followCname ? 'inside the answer' : 'by asking again'
  test(`CNAMEs are followed ${how}, with the smallest TTL of the chain`, async () => {
    await using lab = await startLabDns({ zones: [zone], followCname })
    await using resolver = resolverFor(lab)
    const result = await resolver.query('alias.test', 'A', { signal })
    assert.ok(result.kind === 'answer')
    assert.deepEqual(result.records, [{ address: '192.0.2.1' }])
    assert.equal(result.canonicalName, 'example.test')
    assert.equal(result.ttlMs, 20_000)
    assert.equal((await resolver.query('dangling.test', 'A', { signal })).kind, 'nxdomain')
    assert.equal((await resolver.query('alias.test', 'TLSA', { signal })).kind, 'nodata')
  })

  test(`eight CNAMEs are followed ${how}, nine or a circle are not`, async () => {
    await using lab = await startLabDns({ zones: [zone], followCname })
    await using resolver = resolverFor(lab)
    for (const name of ['c3.test', 'circle1.test']) {
      const result = await resolver.query(name, 'A', { signal })
      assert.equal(result.kind === 'failure' && result.code, 'CNAME_CHAIN', name)
    }
    assert.equal((await resolver.query('c4.test', 'A', { signal })).kind, 'answer')
  })
}

test('the AD bit counts only from a server named as trusted', async () => {
  await using lab = await startLabDns({ zones: [{ ...zone, isSigned: true }] })
  const server = { address: lab.address, port: lab.port }
  await using trusting = resolverFor(lab, { servers: [{ ...server, isTrusted: true }] })
  await using doubting = resolverFor(lab)
  const yes = await trusting.query('example.test', 'MX', { signal })
  assert.equal(yes.kind === 'answer' && yes.isAuthenticated, true)
  const no = await doubting.query('example.test', 'MX', { signal })
  assert.equal(no.kind === 'answer' && no.isAuthenticated, false)
  const denied = await trusting.query('missing.test', 'TLSA', { signal })
  assert.equal(denied.kind === 'nxdomain' && denied.isAuthenticated, true)
})

test('a server with a port that cannot be is an error of the network: the next one is asked', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const right = { address: lab.address, port: lab.port }
  await using resolver = resolverFor(lab, { servers: [{ ...right, port: 0 }, right] })
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  await using alone = resolverFor(lab, { servers: [{ ...right, port: 0 }], rounds: 1 })
  const result = await alone.query('example.test', 'A', { signal })
  assert.deepEqual(result.kind === 'failure' && [result.code, /[Pp]ort/.test(result.text)], ['NETWORK', true])
})

for (const what of ['openUdp', 'openTcp'] as const)
  test(`a machine that throws at ${what} once is asked again`, async () => {
    await using lab = await startLabDns({
      zones: [zone],
      faults: [{ name: 'example.test', fault: { kind: 'truncated' } }],
    })
    let thrown = 0
    const refusing = (): never => {
      thrown++
      ports[what] = machinePorts[what] as never
      throw new Error('no socket')
    }
    const ports: { -readonly [K in keyof DnsPorts]: DnsPorts[K] } = { ...machinePorts, [what]: refusing }
    await using resolver = resolverFor(lab, { ports })
    assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
    assert.equal(thrown, 1)
  })

test('a question that ends in a fault of ours is over: who asks next asks anew, and nothing listens any more', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  let isBroken = true
  const randomInt = (limit: number): number => {
    if (isBroken) throw new Error('no randomness')
    return machinePorts.randomInt(limit)
  }
  await using resolver = resolverFor(lab, { ports: { ...machinePorts, randomInt } })
  const control = new AbortController()
  const ask = () => resolver.query('example.test', 'A', { signal: control.signal })
  await assert.rejects(Promise.all([ask(), ask()]), /no randomness/)
  isBroken = false
  assert.equal((await ask()).kind, 'answer')
  assert.equal(getEventListeners(control.signal, 'abort').length, 0)
  assert.equal(resolver.counters.inFlight, 0)
})

test('disposing gives up what is under way and leaves no socket open', async () => {
  await using lab = await startLabDns({
    zones: [zone],
    faults: [{ name: 'example.test', fault: { kind: 'drop' } }],
  })
  const resolver = resolverFor(lab)
  const result = resolver.query('example.test', 'A', { signal })
  await resolver[Symbol.asyncDispose]()
  const ended = await result
  assert.equal(ended.kind === 'failure' && ended.code, 'ABORTED')
})
