// A host that turns out to be this server itself: its address is not ours, but its greeting has our own word.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RouteTable } from './route.ts'
import { Harness, planOf } from './testing/harness.ts'
import { type Receiver, startReceiver } from './testing/receiver.ts'

const ownGreetingId = '0123456789abcdef'
const greeting = `220 relay.test ESMTP ${ownGreetingId}`

/** We stand at 127.0.0.3, behind an address of somebody else; 127.0.0.2 and 127.0.0.4 are other hosts, at the same port. */
async function stage(owned: AsyncDisposableStack): Promise<{ us: Receiver; port: number; harness: Harness }> {
  const us = owned.use(await startReceiver({ address: '127.0.0.3', greeting }))
  const harness = new Harness(us.port, {}, { ownGreetingId })
  owned.defer(() => harness.close())
  return { us, port: us.port, harness }
}

const better = ['mx1.b.test', '127.0.0.2'] as const
const ourselves = ['mx2.b.test', '127.0.0.3'] as const
const worse = ['mx3.b.test', '127.0.0.4'] as const

/** What we were told on the connection to ourselves, once it is over. */
async function saidTo(us: Receiver): Promise<readonly string[]> {
  while (us.connections === 0 || us.open > 0) await new Promise(resolve => setImmediate(resolve))
  return us.commands
}

test('a best host that is this server itself bounces the mail: it says no more than QUIT, and no worse host is asked', async () => {
  await using owned = new AsyncDisposableStack()
  const { us, port, harness } = await stage(owned)
  const behind = owned.use(await startReceiver({ address: worse[1], port }))
  harness.plans.set('b.test', planOf('b.test', ourselves, worse))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [
      outcome.kind,
      outcome.code,
      outcome.enhancedCode,
      outcome.stage,
      outcome.category,
      outcome.scope,
      outcome.source,
    ],
    ['bounced', 554, '5.4.6', 'greeting', 'loop', 'domain', 'local'],
  )
  assert.match(
    outcome.text,
    /loops back to us: the server that answers at mx2\.b\.test is this one; .*\[\[route\]\]/,
  )
  assert.deepEqual(await saidTo(us), ['QUIT'])
  assert.equal(behind.connections, 0)
})

test('a better host that is dead: the mail waits for it, and the address that leads to us is not dialled for each message', async () => {
  await using owned = new AsyncDisposableStack()
  const { us, port, harness } = await stage(owned)
  const behind = owned.use(await startReceiver({ address: worse[1], port }))
  harness.plans.set('b.test', planOf('b.test', better, ourselves, worse))
  for (let i = 0; i < 20; i++) {
    harness.send([`to${i}@b.test`])
    await harness.settledCount(i + 1)
  }
  for (const { facts } of harness.settled)
    assert.deepEqual([facts.outcome.kind, facts.outcome.enhancedCode], ['deferred', '4.4.1'])
  assert.deepEqual([us.connections, behind.connections], [1, 0])
})

test('a better host that lives takes the mail', async () => {
  await using owned = new AsyncDisposableStack()
  const { us, port, harness } = await stage(owned)
  const first = owned.use(await startReceiver({ address: better[1], port }))
  harness.plans.set('b.test', planOf('b.test', better, ourselves))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual([us.connections, first.messages.length], [0, 1])
})

test('a smarthost that is this server itself makes no round and gets no login: the mail waits, and it is not dialled for each message', async () => {
  await using owned = new AsyncDisposableStack()
  const us = owned.use(await startReceiver({ address: '127.0.0.3', greeting, keywords: ['AUTH PLAIN'] }))
  const credentials = { username: 'shop', password: 'open sesame', isClearAllowed: true }
  const smarthost = { host: '127.0.0.3', port: us.port, credentials, loginId: 'shop' }
  const routes = new RouteTable([{ recipientDomain: '*', smarthost }])
  const harness = new Harness(1, {}, { ownGreetingId, routes })
  const key = `127.0.0.3:${us.port}`
  harness.plans.set(key, planOf(key, ['127.0.0.3', '127.0.0.3']))
  for (let i = 0; i < 20; i++) {
    harness.send([`to${i}@b.test`])
    await harness.settledCount(i + 1)
  }
  for (const { facts } of harness.settled) {
    const { kind, code, enhancedCode, stage, category, scope, text } = facts.outcome
    assert.deepEqual(
      [kind, `${code} ${enhancedCode}`, `${stage} ${category}`, scope],
      ['deferred', '451 4.4.6', 'greeting loop', 'configuration'],
    )
    assert.match(
      text,
      /loops back to us: the smarthost that answers at 127\.0\.0\.3 is this server.*\[\[route\]\]/,
    )
  }
  assert.deepEqual(await saidTo(us), ['QUIT'])
  assert.equal(us.connections, 1)
  await harness.close()
})

test('that a smarthost is this server itself is not held against the same server as MX host, which bounces', async () => {
  await using owned = new AsyncDisposableStack()
  const us = owned.use(await startReceiver({ address: '127.0.0.3', greeting }))
  const smarthost = { host: '127.0.0.3', port: us.port }
  const routes = new RouteTable([{ recipientDomain: 'b.test', smarthost }])
  const harness = new Harness(us.port, {}, { ownGreetingId, routes })
  const key = `127.0.0.3:${us.port}`
  harness.plans.set(key, planOf(key, ['127.0.0.3', '127.0.0.3']))
  harness.plans.set('mx.test', planOf('mx.test', ourselves))
  for (const [at, to] of ['to@b.test', 'to@mx.test'].entries()) {
    harness.send([to])
    await harness.settledCount(at + 1)
  }
  assert.deepEqual(harness.kinds(), ['to@b.test deferred', 'to@mx.test bounced'])
  await harness.close()
})

test('a server that has our name, and another word or none, is another server', async () => {
  for (const other of [
    '220 relay.test ESMTP',
    '220 relay.test ESMTP fedcba9876543210',
    `220 relay.test x${ownGreetingId}`,
  ]) {
    await using mx = await startReceiver({ address: '127.0.0.3', greeting: other })
    const harness = new Harness(mx.port, {}, { ownGreetingId })
    harness.plans.set('b.test', planOf('b.test', ['relay.test', '127.0.0.3']))
    harness.send(['to@b.test'])
    await harness.settledCount(1)
    assert.deepEqual(harness.kinds(), ['to@b.test delivered'], other)
    await harness.close()
  }
})
