// Hosts that take minutes until a session is ready, or until they refuse: how long an attempt lasts, and whom it asks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConnectFailure } from '../protocol/smtp/client/index.ts'
import type { SessionOpener } from './connection.ts'
import { Harness, planOf } from './testing/harness.ts'

const minuteMs = 60_000

/** What a host does: how long it takes, and its refusal; without one it is silent. */
interface Slow {
  readonly tookMs: number
  readonly code?: number
}

/** An engine whose hosts `127.0.0.1`, `127.0.0.2` and so on do as told, with a clock that goes by what they take. */
function stage(hosts: readonly Slow[]) {
  const asked: { readonly host: number; readonly patienceMs: number }[] = []
  const openSession: SessionOpener = async ({ address, timeouts }) => {
    const host = Number(address.split('.')[3])
    const { tookMs, code } = hosts[host - 1]!
    const patienceMs = timeouts?.handshakeMs ?? Number.POSITIVE_INFINITY
    asked.push({ host, patienceMs })
    await new Promise(resolve => setImmediate(resolve))
    harness.monotonicMs += Math.min(tookMs, patienceMs)
    const isSilent = code === undefined || tookMs > patienceMs
    return { ok: false, failure: isSilent ? silence : refusal(code) }
  }
  const harness: Harness = new Harness(25, {}, { openSession })
  const names = hosts.map((_, index) => [`mx${index + 1}.b.test`, `127.0.0.${index + 1}`] as const)
  harness.plans.set('b.test', planOf('b.test', ...names))
  return { harness, asked }
}

const silence: ConnectFailure = {
  stage: 'greeting',
  kind: 'timeout',
  code: 'TIMEOUT_GREETING',
  message: 'no greeting',
  reply: null,
  tls: null,
}

const noWay: ConnectFailure = {
  ...silence,
  stage: 'connect',
  kind: 'error',
  code: 'ENETUNREACH',
  message: 'connect ENETUNREACH',
}

function refusal(code: number): ConnectFailure {
  const reply = { code, enhanced: '', lines: ['no'] }
  return { stage: 'greeting', kind: 'reply', code: String(code), message: 'refused', reply, tls: null }
}

const silent: Slow = { tookMs: Number.POSITIVE_INFINITY }

test('twelve silent hosts take ten minutes together: five are asked, the first for as long as a handshake may take', async () => {
  const { harness, asked } = stage(Array.from({ length: 12 }, () => silent))
  const startedMs = harness.monotonicMs
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  assert.deepEqual(
    asked.map(({ host, patienceMs }) => [host, patienceMs / minuteMs]),
    [
      [1, 5],
      [2, 1.25],
      [3, 1.25],
      [4, 1.25],
      [5, 1.25],
    ],
  )
  assert.equal(harness.monotonicMs - startedMs, 10 * minuteMs)
  await harness.close()
})

test('one silent host, and each of two, has all the time of a handshake', async () => {
  for (const count of [1, 2]) {
    const { harness, asked } = stage(Array.from({ length: count }, () => silent))
    harness.send(['to@b.test'])
    await harness.settledCount(1)
    assert.deepEqual(
      asked.map(({ patienceMs }) => patienceMs),
      Array.from({ length: count }, () => 5 * minuteMs),
    )
    await harness.close()
  }
})

test('addresses to which there is no way from here use up none of the five trials', async () => {
  const asked: string[] = []
  const openSession: SessionOpener = async ({ address }) => {
    asked.push(address)
    return { ok: false, failure: address.includes(':') ? noWay : refusal(421) }
  }
  const harness = new Harness(25, {}, { openSession })
  const sixes = Array.from({ length: 6 }, (_, index) => `2001:db8::${index + 1}`)
  const fours = Array.from(
    { length: 6 },
    (_, index) => [`mx${index + 2}.b.test`, `127.0.0.${index + 1}`] as const,
  )
  harness.plans.set('b.test', planOf('b.test', ['mx1.b.test', ...(sixes as [string])], ...fours))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(asked, [...sixes, ...fours.slice(0, 5).map(([, address]) => address)])
  assert.equal(harness.settled[0]!.facts.outcome.code, 421)
  await harness.close()
})

test('what quick hosts do not need is for the slow ones', async () => {
  const refused: Slow = { tookMs: 10, code: 421 }
  const { harness, asked } = stage([refused, refused, refused, silent, silent, silent])
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  assert.deepEqual(
    asked.slice(3).map(({ patienceMs }) => Math.round(patienceMs / minuteMs)),
    [5, 5],
  )
  await harness.close()
})

test('hosts that say "never" after minutes end no mail while some were not asked for want of time', async () => {
  const never: Slow = { tookMs: 25_000, code: 554 }
  const { harness, asked } = stage(Array.from({ length: 30 }, () => never))
  const startedMs = harness.monotonicMs
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { facts } = harness.settled[0]!
  assert.deepEqual([facts.outcome.kind, facts.outcome.category], ['deferred', 'timeout'])
  assert.match(facts.outcome.text, /not asked/)
  assert.ok(asked.length > 20 && asked.length < 30, String(asked.length))
  assert.ok(harness.monotonicMs - startedMs <= 10 * minuteMs)
  await harness.close()
})

test('while no host has greeted for long, a quarter of the room waits for it; the rest goes back', async () => {
  const openSession: SessionOpener = () => new Promise(() => {})
  const harness = new Harness(25, { readyRecipientsMax: 40 }, { openSession })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 30; i++) harness.send([`to${i}@b.test`])
  harness.advance(14_000)
  assert.equal(harness.givenBack.length, 0)
  harness.advance(2_000)
  assert.equal(harness.givenBack.length, 20)
  assert.equal(harness.room.recipients, 10)
  assert.ok(harness.givenBack.every(({ reason }) => reason === 'site-unreachable'))
  await harness.engine.drain(AbortSignal.abort())
})
