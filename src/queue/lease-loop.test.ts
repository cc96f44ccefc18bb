// The lease loop: a long lease is handed on without keeping the thread from everything else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LeaseLoop, type LeaseTaker } from './lease-loop.ts'
import type { LeasedMessage } from './message.ts'

test('of a lease of a thousand each turn hands on what a millisecond allows, and stop waits for the rest', async () => {
  let handedOn = 0
  let monotonicMs = 0
  const recipients = [{}] as unknown as LeasedMessage['recipients']
  const leased = Array.from({ length: 1_000 }, () => ({ recipients }) as LeasedMessage)
  const taker: LeaseTaker = {
    roomRecipients: () => 1_000,
    leaseShares: each => ({ each, less: new Map() }),
    enqueue: () => {
      handedOn++
      monotonicMs += 0.01
    },
  }
  const store = { lease: () => Promise.resolve(leased) }
  const clock = { nowMs: () => 1, monotonicMs: () => monotonicMs }
  const never = { after: () => () => {} }
  const options = { pollMs: 1, recipientsMax: 1_000 }
  const mustNot = (error: unknown): never => assert.fail(String(error))
  const loop = new LeaseLoop(store, taker, clock, options, mustNot, never)
  loop.start()
  let most = 0
  for (let before = 0; handedOn < 500; before = handedOn) {
    await new Promise(resolve => setImmediate(resolve))
    most = Math.max(most, handedOn - before)
  }
  assert.ok(most <= 210, `${most} in one turn`)
  await loop.stop()
  assert.equal(handedOn, 1_000)
})
