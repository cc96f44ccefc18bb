import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCertificate } from '../protocol/smtp/client/testing/certificates.ts'
import { Harness, planOf } from './testing/harness.ts'
import { type ReceiverOptions, startReceiver } from './testing/receiver.ts'

/** Two receivers on one port at two addresses. */
async function pair(first: ReceiverOptions, second: ReceiverOptions = {}) {
  const one = await startReceiver({ ...first, address: '127.0.0.2' })
  const two = await startReceiver({ ...second, address: '127.0.0.3', port: one.port })
  return { one, two, port: one.port }
}

const both = planOf('b.test', ['mx1.b.test', '127.0.0.2'], ['mx2.b.test', '127.0.0.3'])
const only = planOf('b.test', ['mx1.b.test', '127.0.0.2'])

test('of two MX hosts the dead one is passed over in the same attempt', async () => {
  await using mx = await startReceiver({ address: '127.0.0.3' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', both)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.equal(harness.settled[0]!.facts.outcome.remoteHost, 'mx2.b.test')
  assert.equal(harness.settled[0]!.facts.attempt, 1)
  await harness.close()
})

test('4xx and 5xx greetings belong to the host: the next one is tried', async () => {
  for (const greeting of ['421 4.3.2 busy', '451 later', '554 no', '521 no mail here', 'drop'] as const) {
    const { one, two, port } = await pair({ greeting })
    await using _one = one
    await using _two = two
    const harness = new Harness(port)
    harness.plans.set('b.test', both)
    harness.send(['to@b.test'])
    await harness.settledCount(1)
    assert.deepEqual(harness.kinds(), ['to@b.test delivered'], greeting)
    assert.equal(two.messages.length, 1)
    await harness.close()
  }
})

test('521 and 554 as greeting of all hosts are permanent, one 4xx among them is not', async () => {
  for (const { first, second, kind } of [
    { first: '521 no mail here', second: '554 no', kind: 'bounced' },
    { first: '521 no mail here', second: '421 busy', kind: 'deferred' },
  ] as const) {
    const { one, two, port } = await pair({ greeting: first }, { greeting: second })
    await using _one = one
    await using _two = two
    const harness = new Harness(port)
    harness.plans.set('b.test', both)
    harness.send(['to@b.test'])
    await harness.settledCount(1)
    assert.deepEqual(harness.kinds(), [`to@b.test ${kind}`])
    assert.equal(harness.settled[0]!.facts.outcome.stage, 'greeting')
    assert.equal(harness.settled[0]!.facts.conversation.length, 2)
    await harness.close()
  }
})

test('a 5xx greeting that means "later" is a deferral', async () => {
  await using mx = await startReceiver({
    address: '127.0.0.2',
    greeting: '550 Ip frequency limited [AAaBBb IP: 192.0.2.1]',
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', only)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  assert.equal(harness.settled[0]!.facts.outcome.category, 'rate-limited')
  await harness.close()
})

test('one permanent greeting bounces the message that met it, and each other asks for itself', async () => {
  let isShut = true
  await using mx = await startReceiver({
    address: '127.0.0.2',
    get greeting() {
      const now = isShut ? '554 no' : '220 hello'
      isShut = false
      return now
    },
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', only)
  for (let i = 0; i < 5; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(5)
  assert.equal(harness.settled.filter(({ facts }) => facts.outcome.kind === 'bounced').length, 1)
  assert.equal(mx.messages.length, 4)
  await harness.close()
})

test('a dead site costs few connections however much waits for it, and is probed again later', async () => {
  let isDead = true
  await using mx = await startReceiver({
    address: '127.0.0.2',
    get greeting() {
      return isDead ? ('drop' as const) : '220 hello'
    },
  })
  const harness = new Harness(mx.port, { hostBackoffMs: 5_000 })
  harness.plans.set('b.test', only)
  for (let i = 0; i < 1_000; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(1_000)
  assert.equal(mx.connections, 1)
  for (const { facts } of harness.settled) {
    assert.equal(facts.outcome.kind, 'deferred')
    assert.equal(facts.outcome.remoteHost, 'mx1.b.test')
    assert.equal(facts.outcome.stage, 'greeting')
    assert.equal(facts.outcome.category, 'connection-lost')
  }
  assert.deepEqual(
    new Set(harness.settled.map(({ settlement }) => settlement.reason)),
    new Set(['site-unreachable']),
  )
  harness.send(['soon@b.test'])
  await harness.settledCount(1_001)
  assert.equal(mx.connections, 1, 'within the back-off nothing is tried')
  harness.advance(5_001)
  harness.send(['probe@b.test'])
  await harness.settledCount(1_002)
  assert.equal(mx.connections, 2, 'one probe')
  harness.advance(5_001)
  harness.send(['early@b.test'])
  await harness.settledCount(1_003)
  assert.equal(mx.connections, 2, 'the back-off has doubled')
  isDead = false
  harness.advance(5_001)
  for (let i = 0; i < 10; i++) harness.send([`later${i}@b.test`])
  await harness.settledCount(1_013)
  assert.equal(mx.messages.length, 10)
  await harness.close()
})

test('a host that refuses connections is told as it is', async () => {
  const gone = await startReceiver({ address: '127.0.0.2' })
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  const harness = new Harness(port)
  harness.plans.set('b.test', only)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.stage, outcome.category, outcome.source, outcome.enhancedCode, outcome.remoteHost],
    ['deferred', 'connect', 'connect-failed', 'local', '4.4.1', 'mx1.b.test'],
  )
  assert.match(outcome.text, /ECONNREFUSED/)
  await harness.close()
})

test('a host that drops us at MAIL says more than one that takes no connection', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2', onMail: () => 'drop' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', both)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { outcome, conversation } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.stage, outcome.category, outcome.remoteHost],
    ['deferred', 'mail', 'connection-lost', 'mx1.b.test'],
  )
  assert.ok(conversation.some(line => line.startsWith('mx2.b.test ')))
  await harness.close()
})

test('an operator who asks for a retry now need not wait for the back-off', async () => {
  let isDead = true
  await using mx = await startReceiver({
    address: '127.0.0.2',
    get greeting() {
      return isDead ? ('drop' as const) : '220 hello'
    },
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', only)
  harness.send(['first@b.test'])
  await harness.settledCount(1)
  isDead = false
  harness.send(['second@b.test'])
  await harness.settledCount(2)
  assert.equal(mx.connections, 1)
  assert.match(harness.settled[1]!.facts.conversation[0]!, /^mx1\.b\.test /)
  harness.engine.forgetFailures()
  harness.send(['third@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), [
    'first@b.test deferred',
    'second@b.test deferred',
    'third@b.test delivered',
  ])
  await harness.close()
})

test('the back-off stays below the shortest retry interval, so that a due retry finds the host open', async () => {
  let isDead = true
  await using mx = await startReceiver({
    address: '127.0.0.2',
    get greeting() {
      return isDead ? ('drop' as const) : '220 hello'
    },
  })
  const harness = new Harness(mx.port, { retry: { intervalsMs: [1_000] }, hostBackoffMs: 60_000 })
  harness.plans.set('b.test', only)
  for (let i = 1; i <= 4; i++) {
    isDead = i < 4
    harness.send([`to${i}@b.test`])
    await harness.settledCount(i)
    harness.advance(900)
  }
  assert.equal(mx.messages.length, 1)
  await harness.close()
})

const certificate = makeCertificate('mx1.b.test')

test('STARTTLS is used where it is offered, whatever the certificate says, and the outcome names it', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2', tls: certificate })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', only)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.match(harness.settled[0]!.facts.outcome.tls, /^TLSv1\.3 /)
  assert.equal(mx.messages[0]?.isTls, true)
  assert.equal(harness.tlsHosts.get('mx1.b.test'), harness.nowMs)
  await harness.close()
})

test('where TLS fails the other MX with TLS is tried before anything goes in clear text', async () => {
  const { one, two, port } = await pair({ tls: 'broken' }, { tls: certificate })
  await using _one = one
  await using _two = two
  const harness = new Harness(port)
  harness.plans.set('b.test', both)
  harness.send(['to@b.test'], { acceptedAtMs: harness.nowMs - 7_200_000 })
  await harness.settledCount(1)
  assert.equal(two.messages[0]?.isTls, true)
  assert.equal(one.messages.length, 0)
  await harness.close()
})

test('while the MX with TLS is only full, old mail waits for it instead of going in clear text to the other', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<string>()
  const { one, two, port } = await pair({ tls: 'broken' }, { tls: certificate, onEnd: () => held })
  await using _one = one
  await using _two = two
  const harness = new Harness(port, { connectionsPerHost: 1, transactionsPerConnection: 1 })
  harness.plans.set('b.test', both)
  harness.plans.set('c.test', planOf('c.test', ['mx2.b.test', '127.0.0.3']))
  harness.send(['first@c.test'])
  while (harness.marksWritten === 0) await new Promise(resolve => setImmediate(resolve))
  harness.send(['old@b.test'], { acceptedAtMs: harness.nowMs - 7_200_000 })
  while (one.connections === 0 || one.open > 0) await new Promise(resolve => setTimeout(resolve, 5))
  release('250 ok')
  await harness.settledCount(2)
  assert.deepEqual([one.messages.length, two.messages.length], [0, 2])
  await harness.close()
})

test('nothing goes in clear text while a host was not asked whether it has TLS', async () => {
  const { one, two, port } = await pair({ tls: 'broken' }, { tls: certificate })
  await using _one = one
  await using _two = two
  const dead = ['mx.dead.test', '127.0.0.9'] as const
  const harness = new Harness(port, { addressesPerAttempt: 1 })
  harness.plans.set(
    'b.test',
    planOf('b.test', ['mx1.b.test', '127.0.0.2'], dead, ['mx2.b.test', '127.0.0.3']),
  )
  harness.send(['to@b.test'], { acceptedAtMs: harness.nowMs - 7_200_000 })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  assert.equal(one.messages.length, 0)
  await harness.close()
})

test('connections in clear text count against the bound of their host', async () => {
  await using mx = await startReceiver({
    address: '127.0.0.2',
    tls: 'broken',
    onEnd: async () => {
      await new Promise(resolve => setTimeout(resolve, 5))
      return '250 ok'
    },
  })
  const harness = new Harness(mx.port, { connectionsPerHost: 2, backlogPerConnection: 1 })
  harness.plans.set('b.test', only)
  const acceptedAtMs = harness.nowMs - 7_200_000
  for (let i = 0; i < 60; i++) harness.send([`to${i}@b.test`], { acceptedAtMs })
  await harness.settledCount(60)
  assert.equal(mx.messages.length, 60)
  assert.equal(new Set(mx.messages.map(one => one.connection)).size, 2)
  await harness.close()
})

test('where TLS fails everywhere a young message is deferred and an old one goes in clear text', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2', tls: 'broken' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', only)
  harness.send(['young@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['young@b.test deferred'])
  assert.equal(harness.settled[0]!.facts.outcome.category, 'tls')
  assert.equal(harness.settled[0]!.facts.outcome.stage, 'starttls')
  const told = [harness.settled[0]!.facts.outcome.text, ...harness.settled[0]!.facts.conversation]
  for (const text of told) assert.doesNotMatch(text, /\p{Cc}|routines|error:/u)
  harness.send(['old@b.test'], { acceptedAtMs: harness.nowMs - 3_600_001 })
  await harness.settledCount(2)
  assert.equal(mx.messages.length, 1)
  assert.equal(mx.messages[0]?.isTls, false)
  assert.equal(harness.settled[1]!.facts.outcome.tls, '')
  await harness.close()
})

test('where TLS worked within thirty days nothing ever goes in clear text', async () => {
  const options = { tls: 'broken' } as const
  for (const receiver of [options, {}]) {
    await using mx = await startReceiver({ address: '127.0.0.2', ...receiver })
    const harness = new Harness(mx.port)
    harness.tlsHosts.set('mx1.b.test', harness.nowMs - 29 * 86_400_000)
    harness.plans.set('b.test', only)
    harness.send(['to@b.test'], {
      acceptedAtMs: harness.nowMs - 86_400_000,
      expiresAtMs: harness.nowMs + 1e9,
    })
    await harness.settledCount(1)
    assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
    assert.equal(harness.settled[0]!.facts.outcome.category, 'tls')
    assert.equal(mx.messages.length, 0)
    await harness.close()
  }
})

test('what TLS did more than thirty days ago binds nobody', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2' })
  const harness = new Harness(mx.port)
  harness.tlsHosts.set('mx1.b.test', harness.nowMs - 31 * 86_400_000)
  harness.plans.set('b.test', only)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test delivered'])
  assert.equal(mx.messages[0]?.isTls, false)
  await harness.close()
})

test('a smarthost that must speak TLS gets nothing in clear text', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2' })
  const { RouteTable } = await import('./route.ts')
  const smarthost = { host: '127.0.0.2', port: mx.port, tls: 'required' } as const
  const routes = new RouteTable([{ recipientDomain: '*', smarthost }])
  const harness = new Harness(1, {}, { routes })
  const key = `127.0.0.2:${mx.port}`
  harness.plans.set(key, planOf(key, ['127.0.0.2', '127.0.0.2']))
  harness.send(['to@b.test'], { acceptedAtMs: 0 })
  await harness.settledCount(1)
  assert.equal(mx.messages.length, 0)
  assert.equal(harness.settled[0]!.facts.outcome.kind, 'deferred')
  await harness.close()
})

test('each dialling is told by how it ended: with TLS, in clear text, or not at all', async () => {
  const { one, two, port } = await pair({ tls: certificate })
  await using _one = one
  await using _two = two
  const told: string[] = []
  const harness = new Harness(port, {}, { onConnection: result => told.push(result) })
  harness.plans.set('a.test', planOf('a.test', ['mx.a.test', '127.0.0.2']))
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.3']))
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', '127.0.0.4']))
  for (const [index, to] of [
    'to@a.test',
    'again@a.test',
    'to@b.test',
    'to@c.test',
    'again@c.test',
  ].entries()) {
    harness.send([to])
    await harness.settledCount(index + 1)
  }
  assert.deepEqual(
    told,
    ['tls', 'clear', 'failed'],
    'kept connections and remembered failures are no dialling',
  )
  await harness.close()
})
