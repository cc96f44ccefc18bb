import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryBatch } from './delivery-batch.ts'
import { Destinations } from './destinations.ts'
import type { NextHop } from './next-hop.ts'
import { planOf } from './testing/harness.ts'

const count = 20_000

function parts() {
  const clock = { nowMs: () => 0, monotonicMs: () => 0 }
  const planner = {
    cached: (domain: string) => planOf(domain, ['mx.test', '127.0.0.1']),
    plan: () => Promise.reject(new Error('it is not asked')),
    cachedSmarthost: () => undefined,
    planSmarthost: () => Promise.reject(new Error('it is not asked')),
  }
  return new Destinations(planner, clock)
}

const batch = {} as DeliveryBatch

test('a domain beyond the bound is remembered, and what waits for it is not lost from sight', () => {
  const destinations = parts()
  for (let i = 0; i < count; i++) destinations.peek(destinations.of(`d${i}.test`, null))
  const last = destinations.of('last.test', null)
  last.waiting = [batch]
  assert.equal(destinations.of('last.test', null), last)
  assert.deepEqual(destinations.takeWaiting(), [batch])
})

test('however many are waited for, none of them is forgotten', () => {
  const destinations = parts()
  for (let i = 0; i < count * 2; i++) destinations.of(`d${i}.test`, null).waiting = [batch]
  assert.equal(destinations.takeWaiting().length, count * 2)
})

test('a sweep lets go of next hops that are out of use', () => {
  const destinations = parts()
  const one = destinations.of('a.test', null)
  destinations.peek(one)
  const [closed, open] = [{ isClosed: true }, { isClosed: false }] as NextHop[]
  one.hops = [closed!, open!]
  destinations.sweep()
  assert.deepEqual(one.hops, [open])
})
