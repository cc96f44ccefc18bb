// Who waits for a host, or for an opening under way: nobody's turn may be lost. Time stands still unless a test moves
// it, so that whoever waits for a tick waits for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConnectFailure, connectSmtp } from '../protocol/smtp/client/index.ts'
import type { SessionOpener } from './connection.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const host = '127.0.0.2'
const slow = '127.0.0.9'

const refused: ConnectFailure = {
  stage: 'connect',
  kind: 'error',
  code: 'ECONNREFUSED',
  message: 'connect ECONNREFUSED',
  reply: null,
  tls: null,
}

/** Opens sessions as ever, but lets the test say what becomes of those that `holds` picks, by address and number from 1. */
class Opener {
  readonly #holds: (address: string, count: number) => boolean
  readonly #counts = new Map<string, number>()
  /** Openings that are held, in order: a failure ends one, null lets it go on. */
  readonly held: ((failure: ConnectFailure | null) => void)[] = []

  constructor(holds: (address: string, count: number) => boolean) {
    this.#holds = holds
  }

  readonly open: SessionOpener = async options => {
    const { address } = options
    const count = (this.#counts.get(address) ?? 0) + 1
    this.#counts.set(address, count)
    const failure = this.#holds(address, count)
      ? await new Promise<ConnectFailure | null>(resolve => this.held.push(resolve))
      : null
    return failure === null ? connectSmtp(options) : { ok: false, failure }
  }
}

/** Lets what can go on go on until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 1))
}

/** Waits for the outcomes, for as long as anything could still happen by itself. */
async function settledSoon(harness: Harness, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, 2_000)
  await Promise.race([harness.settledCount(count), promise])
  clearTimeout(timer)
}

test('a full host that became free while the next one was dialled is used at once', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ address: host, onEnd: () => answered })
  const opener = new Opener(address => address === slow)
  const harness = new Harness(mx.port, { connectionsPerHost: 1 }, { openSession: opener.open })
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', host]))
  harness.plans.set('b.test', planOf('b.test', ['mx.c.test', host], ['slow.b.test', slow]))
  harness.send(['first@c.test'])
  await until(() => harness.marksWritten === 1)
  harness.send(['to@b.test'])
  await until(() => opener.held.length === 1)
  answer('250 2.0.0 ok')
  await harness.settledCount(1)
  opener.held[0]!(refused)
  await settledSoon(harness, 2)
  assert.deepEqual(harness.kinds(), ['first@c.test delivered', 'to@b.test delivered'])
  await harness.close()
})

test('who dials another host while it stands in line for a full one is passed over: the next in line is told', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ address: host, onEnd: () => answered })
  const opener = new Opener(address => address === slow)
  const harness = new Harness(mx.port, { connectionsPerHost: 1 }, { openSession: opener.open })
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', host]))
  harness.plans.set('a.test', planOf('a.test', ['mx.a.test', host], ['slow.a.test', slow]))
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', host]))
  harness.send(['first@c.test'])
  await until(() => harness.marksWritten === 1)
  harness.send(['to@a.test'])
  await until(() => opener.held.length === 1)
  opener.held[0]!(refused)
  await new Promise(resolve => setImmediate(resolve))
  harness.send(['to@b.test'])
  await new Promise(resolve => setImmediate(resolve))
  // It looks again, and its other host may be dialled again.
  harness.advance(11_000)
  await until(() => opener.held.length === 2)
  answer('250 2.0.0 ok')
  await settledSoon(harness, 2)
  assert.deepEqual(harness.kinds(), ['first@c.test delivered', 'to@b.test delivered'])
  opener.held[1]!(refused)
  await settledSoon(harness, 3)
  assert.equal(mx.messages.length, 3)
  await harness.close()
})

test('an opening that fails while another one is under way ends nothing: that one decides', async () => {
  const { promise: never } = Promise.withResolvers<string>()
  let holdsAnswers = false
  await using mx = await startReceiver({
    address: host,
    onEnd: () => (holdsAnswers ? never : '250 2.0.0 ok'),
  })
  const opener = new Opener((_, count) => count > 2)
  const limits = { backlogPerConnection: 1, transactionsPerConnection: 1 }
  const harness = new Harness(mx.port, limits, { openSession: opener.open })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', host]))
  harness.send(['one@b.test'])
  await harness.settledCount(1)
  // A second connection, for what waited since the last tick; then both have answered something.
  harness.send(['two@b.test'])
  harness.send(['three@b.test'])
  harness.advance(1)
  await harness.settledCount(3)
  assert.equal(mx.connections, 2)
  holdsAnswers = true
  for (let i = 0; i < 6; i++) harness.send([`more${i}@b.test`])
  await until(() => opener.held.length === 2 && harness.marksWritten === 5)
  await mx.closeAll()
  holdsAnswers = false
  await harness.settledCount(5)
  opener.held[0]!(refused)
  await new Promise(resolve => setImmediate(resolve))
  opener.held[1]!(null)
  await settledSoon(harness, 9)
  const kinds = harness.settled.slice(5).map(({ facts }) => facts.outcome.kind)
  assert.deepEqual(kinds, ['delivered', 'delivered', 'delivered', 'delivered'])
  await harness.close()
})

test('who cannot use the connection that is handed on keeps its place in the line of the site', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ address: host, onEnd: () => answered })
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  const site = { site: 'provider', provider: 'provider' }
  harness.plans.set('a.test', { ...planOf('a.test', ['mx.a.test', host]), ...site })
  harness.plans.set('b.test', { ...planOf('b.test', ['mx.b.test', host]), ...site })
  // The same address under a name that spoke TLS lately: its mail may not go over a connection in clear text.
  harness.tlsHosts.set('mx.b.test', harness.nowMs - 1)
  harness.send(['to@a.test'])
  await until(() => harness.marksWritten === 1)
  harness.send(['to@b.test'])
  answer('250 2.0.0 ok')
  await settledSoon(harness, 2)
  assert.deepEqual(harness.kinds(), ['to@a.test delivered', 'to@b.test deferred'])
  assert.equal(harness.settled[1]!.facts.outcome.category, 'tls')
  await harness.close()
})
