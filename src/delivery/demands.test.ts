// What is learnt of a host under one demand (TLS policy, name to prove, login) is not held against another, and what was
// granted under one demand is not used for another.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { makeCertificate } from '../protocol/smtp/client/testing/certificates.ts'
import { type Route, RouteTable, type Smarthost } from './route.ts'
import { Harness, planOf } from './testing/harness.ts'
import { type ReceiverOptions, startReceiver } from './testing/receiver.ts'

const address = '127.0.0.2'
const certificate = makeCertificate('proven.example')

/** A receiver under several smarthost names, each the route of the domain of the same name. */
async function openStage(receiver: ReceiverOptions, smarthosts: Record<string, Partial<Smarthost>>) {
  const mx = await startReceiver({ address, ...receiver })
  const routes: Route[] = Object.entries(smarthosts).map(([domain, more]) => ({
    recipientDomain: domain,
    smarthost: { host: domain, port: mx.port, ...more },
  }))
  const trust = createSecureContext({ ca: certificate.cert })
  const harness = new Harness(mx.port, { trust }, { routes: new RouteTable(routes) })
  for (const { smarthost } of routes) {
    const key = `${smarthost.host}:${mx.port}`
    harness.plans.set(key, planOf(key, [smarthost.host, address]))
  }
  return { mx, harness }
}

async function kindOf(harness: Harness, to: string): Promise<string> {
  const count = harness.settled.length + 1
  harness.send([to])
  await harness.settledCount(count)
  const { kind, stage } = harness.settled.at(-1)!.facts.outcome
  return `${kind} ${stage}`
}

test('a connection that proved one name is not used for another name of the same address', async () => {
  const { mx, harness } = await openStage(
    { tls: certificate },
    { 'proven.example': { tls: 'verified' }, 'other.example': { tls: 'verified' } },
  )
  await using _mx = mx
  assert.match(await kindOf(harness, 'a@proven.example'), /^delivered/)
  assert.equal(await kindOf(harness, 'b@other.example'), 'deferred starttls')
  assert.equal(mx.messages.length, 1)
  await harness.close()
})

test('a certificate that does not satisfy one demand is not held against a lesser one', async () => {
  const { mx, harness } = await openStage(
    { tls: certificate },
    { 'other.example': { tls: 'verified' }, 'lesser.example': { tls: 'required' } },
  )
  await using _mx = mx
  assert.equal(await kindOf(harness, 'a@other.example'), 'deferred starttls')
  assert.match(await kindOf(harness, 'b@lesser.example'), /^delivered/)
  assert.equal(mx.messages[0]?.isTls, true)
  await harness.close()
})

test('a clear-text connection is not taken over for a name that spoke TLS lately', async () => {
  const mx = await startReceiver({ address })
  await using _mx = mx
  const harness = new Harness(mx.port)
  harness.plans.set('clear.test', planOf('clear.test', ['mx.clear.test', address]))
  harness.plans.set('secure.test', planOf('secure.test', ['mx.secure.test', address]))
  harness.tlsHosts.set('mx.secure.test', harness.nowMs - 1_000)
  assert.match(await kindOf(harness, 'a@clear.test'), /^delivered/)
  assert.equal(await kindOf(harness, 'b@secure.test'), 'deferred starttls')
  assert.match(await kindOf(harness, 'c@clear.test'), /^delivered/)
  assert.equal(mx.messages.length, 2)
  await harness.close()
})

test('TLS at one port of a smarthost says nothing of another server at another port', async () => {
  await using secure = await startReceiver({ address, tls: certificate })
  await using clear = await startReceiver({ address })
  const routes: Route[] = [
    { recipientDomain: 'secure.example', smarthost: { host: 'two.example', port: secure.port } },
    { recipientDomain: 'clear.example', smarthost: { host: 'two.example', port: clear.port } },
  ]
  const harness = new Harness(0, {}, { routes: new RouteTable(routes) })
  for (const { port } of [secure, clear])
    harness.plans.set(`two.example:${port}`, planOf(`two.example:${port}`, ['two.example', address]))
  assert.match(await kindOf(harness, 'a@secure.example'), /^delivered/)
  assert.match(await kindOf(harness, 'b@clear.example'), /^delivered/)
  assert.deepEqual([secure.messages[0]?.isTls, clear.messages[0]?.isTls], [true, false])
  // The port is remembered with it: there, clear text is no more.
  secure.change({})
  await secure.closeAll()
  assert.equal(await kindOf(harness, 'c@secure.example'), 'deferred starttls')
  await harness.close()
})

test('an address literal is no server name for TLS, and is what a certificate must prove', async () => {
  const mx = await startReceiver({ address, tls: makeCertificate(address) })
  await using _mx = mx
  const literal = `[${address}]`
  const harness = new Harness(mx.port)
  harness.plans.set(literal, planOf(literal, [literal, address]))
  assert.match(await kindOf(harness, `a@${literal}`), /^delivered/)
  assert.deepEqual([mx.serverNames, mx.messages[0]?.isTls], [[false], true])
  await harness.close()
})

for (const literal of [address, '::1'])
  test(`a smarthost named by its address ${literal} is verified by it`, async () => {
    const proof = makeCertificate(literal)
    const mx = await startReceiver({ address: literal, tls: proof })
    await using _mx = mx
    const smarthost = { host: literal, port: mx.port, tls: 'verified' } as const
    const routes = new RouteTable([{ recipientDomain: '*', smarthost }])
    const harness = new Harness(mx.port, { trust: createSecureContext({ ca: proof.cert }) }, { routes })
    const key = `${literal}:${mx.port}`
    harness.plans.set(key, planOf(key, [literal, literal]))
    assert.match(await kindOf(harness, 'a@proven.example'), /^delivered/)
    await harness.close()
  })

test('"never" of five MX hosts does not bounce before the sixth was asked', async () => {
  const last = await startReceiver({ address: '127.0.0.16' })
  await using _last = last
  await using owned = new AsyncDisposableStack()
  const names: [string, string][] = []
  for (let i = 11; i <= 15; i++) {
    const at = `127.0.0.${i}`
    owned.use(await startReceiver({ address: at, port: last.port, greeting: '521 no mail here' }))
    names.push([`mx${i}.b.test`, at])
  }
  const harness = new Harness(last.port)
  harness.plans.set('b.test', planOf('b.test', ...names, ['mx16.b.test', '127.0.0.16']))
  assert.match(await kindOf(harness, 'a@b.test'), /^delivered/)
  await harness.close()
})
