import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { type LabDns, type LabZone, startLabDns } from '../../lab/dns/index.ts'
import { type DnsOptions, type DnsPorts, machinePorts, Resolver } from './index.ts'

const zone: LabZone = {
  name: 'test',
  negativeTtlSeconds: 30,
  records: [
    { name: 'example.test', type: 'MX', data: { preference: 10, exchange: 'MX1.example.test' } },
    { name: 'example.test', type: 'MX', data: { preference: 20, exchange: 'mx2.example.test' } },
    { name: 'example.test', type: 'A', data: '192.0.2.1', ttlSeconds: 600 },
    { name: 'example.test', type: 'AAAA', data: '2001:db8::1' },
    { name: 'example.test', type: 'TXT', data: 'v=spf1 -all' },
    { name: 'long.test', type: 'TXT', data: 'x'.repeat(700) },
    { name: 'null.test', type: 'MX', data: { preference: 0, exchange: '.' } },
    { name: 'alias.test', type: 'CNAME', data: 'example.test', ttlSeconds: 20 },
    { name: 'circle1.test', type: 'CNAME', data: 'circle2.test' },
    { name: 'circle2.test', type: 'CNAME', data: 'circle1.test' },
    { name: 'dangling.test', type: 'CNAME', data: 'nowhere.test' },
    { name: '1.2.0.192.in-addr.arpa.test', type: 'PTR', data: 'host.example.test' },
    {
      name: '_25._tcp.mx1.example.test',
      type: 'TLSA',
      data: { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(32, 7) },
    },
    ...Array.from({ length: 12 }, (_, i) => ({
      name: `c${i}.test`,
      type: 'CNAME' as const,
      data: `c${i + 1}.test`,
    })),
    { name: 'c12.test', type: 'A', data: '192.0.2.12' },
    ...Array.from({ length: 120 }, (_, i) => ({
      name: 'big.test',
      type: 'A' as const,
      data: `198.51.100.${i}`,
    })),
  ],
}

const signal = new AbortController().signal

interface MovableClock {
  nowMs: number
  readonly ports: DnsPorts
}

function movableClock(): MovableClock {
  const clock = { nowMs: 1000, ports: { ...machinePorts, monotonicMs: () => clock.nowMs } }
  return clock
}

/** Timers that go off when the test says so. */
function manualTimers(): { readonly ports: DnsPorts; fire(): void; expire(): Buffer[] } {
  const pending = new Set<() => void>()
  const setTimer = (_delayMs: number, run: () => void): (() => void) => {
    pending.add(run)
    return () => pending.delete(run)
  }
  const fire = (): void => {
    for (const run of [...pending]) run()
  }
  /** For a server that stays silent: the wait is over as soon as it has seen the query. */
  const expire = (): Buffer[] => {
    fire()
    return []
  }
  return { ports: { ...machinePorts, setTimer }, fire, expire }
}

function resolverFor(lab: LabDns | readonly LabDns[], options: Partial<DnsOptions> = {}): Resolver {
  const labs = Array.isArray(lab) ? (lab as readonly LabDns[]) : [lab as LabDns]
  return new Resolver({
    servers: labs.map(({ address, port }) => ({ address, port })),
    ports: machinePorts,
    // Far longer than any test: only what a test does on purpose ends a wait.
    attemptTimeoutMs: 600_000,
    ...options,
  })
}

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

test('an answer of more records than anybody needs is used and not remembered', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  const big = await resolver.query('big.test', 'A', { signal })
  assert.equal(big.kind === 'answer' && big.records.length, 120)
  assert.equal(resolver.counters.cacheEntries, 0)
  await resolver.query('example.test', 'A', { signal })
  assert.equal(resolver.counters.cacheEntries, 1)
})

test('records for other names in an answer are neither used nor remembered', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('poison.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const lie = { type: 'A', name: 'bank.test', ttl: 9999, data: '203.0.113.66' } as const
      const answers = [lie, { ...lie, name: 'poison.test', data: '192.0.2.50' }]
      const flags = (packet.flags ?? 0) & ~0xf
      return [encode({ ...packet, flags, answers, authorities: [], additionals: [lie] })]
    },
  })
  await using resolver = resolverFor(lab)
  const result = await resolver.query('poison.test', 'A', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ address: '192.0.2.50' }])
  assert.equal(resolver.cached('bank.test', 'A'), undefined)
  assert.equal((await resolver.query('bank.test', 'A', { signal })).kind, 'nxdomain')
})

test('replies with another id or another question are ignored and the right one is taken', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('example.test', {
    kind: 'reply',
    make: (query, right) => {
      const otherId = Buffer.from(right)
      otherId.writeUInt16BE((right.readUInt16BE(0) + 1) & 0xffff, 0)
      const packet = decode(right)
      const questions = [{ type: 'A' as const, name: 'other.test' }]
      const answers = [{ type: 'A' as const, name: 'example.test', ttl: 60, data: '203.0.113.66' }]
      return [otherId, encode({ ...packet, questions, answers }), query, Buffer.alloc(3), right]
    },
  })
  await using resolver = resolverFor(lab)
  const result = await resolver.query('example.test', 'A', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ address: '192.0.2.1' }])
  assert.equal(lab.counters.tcp, 0)
})

test('a flood of wrong replies sends the question to TCP', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  lab.setFault('example.test', {
    kind: 'reply',
    make: (_query, right, overTcp) => {
      if (overTcp) return [right]
      const forged = Buffer.from(right)
      forged.writeUInt16BE((right.readUInt16BE(0) + 1) & 0xffff, 0)
      return new Array<Buffer>(40).fill(forged)
    },
  })
  await using resolver = resolverFor(lab)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
})

test('a datagram from another address is not seen', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  const stranger = createSocket('udp4')
  const timers = manualTimers()
  let targetPort = 0
  const ports: DnsPorts = {
    ...timers.ports,
    openUdp: family => {
      const socket = machinePorts.openUdp(family)
      socket.once('connect', () => {
        targetPort = socket.address().port
      })
      return socket
    },
  }
  lab.setFault('example.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const answers = [{ type: 'A' as const, name: 'example.test', ttl: 60, data: '203.0.113.66' }]
      // Two turns of the loop are enough for a datagram that the kernel has let in to be read.
      const afterwards = (): void => void setImmediate(() => setImmediate(timers.fire))
      stranger.send(encode({ ...packet, answers }), targetPort, '127.0.0.1', afterwards)
      return []
    },
  })
  await using resolver = resolverFor(lab, { ports, rounds: 1 })
  const result = await resolver.query('example.test', 'A', { signal })
  stranger.close()
  assert.equal(result.kind === 'failure' && result.code, 'TIMEOUT')
})

test('a server that keeps letter case is held to it: a reply in other letters is ignored', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  await using resolver = resolverFor(lab)
  await resolver.query('example.test', 'A', { signal })
  lab.setFault('null.test', {
    kind: 'reply',
    make: (_query, right) => {
      const packet = decode(right)
      const questions = [{ type: 'MX' as const, name: 'null.test' }]
      const data = { preference: 1, exchange: 'evil.test' }
      const answers = [{ type: 'MX' as const, name: 'null.test', ttl: 60, data }]
      return [encode({ ...packet, questions, answers }), right]
    },
  })
  const result = await resolver.query('null.test', 'MX', { signal })
  assert.deepEqual(result.kind === 'answer' && result.records, [{ preference: 0, exchange: '' }])
})

test('a server that does not keep letter case is found out by TCP once and then asked plainly', async () => {
  await using lab = await startLabDns({ zones: [zone] })
  for (const name of ['example.test', 'null.test']) lab.setFault(name, { kind: 'lower-case' })
  await using resolver = resolverFor(lab)
  assert.equal((await resolver.query('example.test', 'A', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
  assert.equal((await resolver.query('null.test', 'MX', { signal })).kind, 'answer')
  assert.equal(lab.counters.tcp, 1)
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

function ttlOf(result: { readonly ttlMs: number }): number {
  return result.ttlMs
}
