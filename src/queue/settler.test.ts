// The settler: what is gathered into one commit, and what a store that refuses does to it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GiveBack, SettleBatch } from './port.ts'
import { Settler } from './settler.ts'

/** Any value: the settler looks at none. */
const mark = (key: number): GiveBack => ({ messageKey: key }) as GiveBack

/** A store whose answers the test decides; it keeps every batch that it was given. */
class DecidedStore {
  readonly batches: SettleBatch[] = []
  answer: () => Promise<void> = () => Promise.resolve()

  settle(batch: SettleBatch): Promise<void> {
    this.batches.push(batch)
    return this.answer()
  }
}

const fullDisk = (): Promise<void> =>
  Promise.reject(Object.assign(new Error('no space'), { isPassing: true }))

const mustNot = (error: unknown): never => assert.fail(String(error))

test('what comes while a commit runs goes into the next one, in order', async () => {
  const store = new DecidedStore()
  const first = Promise.withResolvers<void>()
  store.answer = () => first.promise
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  const flushed = settler.flush()
  settler.giveBack([mark(2)])
  settler.giveBack([mark(3)])
  store.answer = () => Promise.resolve()
  first.resolve()
  await flushed
  assert.deepEqual(
    store.batches.map(batch => batch.giveBacks.map(one => one.messageKey)),
    [[1], [2, 3]],
  )
})

test('a batch that a full disk refused comes first in the next try, and nothing is fatal', async () => {
  const store = new DecidedStore()
  store.answer = fullDisk
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  await settler.flush()
  settler.giveBack([mark(2)])
  store.answer = () => Promise.resolve()
  await settler.flush()
  assert.deepEqual(
    store.batches.map(batch => batch.giveBacks.map(one => one.messageKey)),
    [[1], [1, 2]],
  )
})

test('a full disk is tried again without being asked', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const store = new DecidedStore()
  store.answer = fullDisk
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  await settler.flush()
  store.answer = () => Promise.resolve()
  t.mock.timers.tick(999)
  assert.equal(store.batches.length, 1)
  t.mock.timers.tick(2)
  assert.equal(store.batches.length, 2)
})

test('refusals at the door that wait for a full disk are bounded', async () => {
  const store = new DecidedStore()
  store.answer = fullDisk
  const settler = new Settler(store, mustNot)
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 900; at++) settler.event({ atMs: round * 1000 + at } as never)
    await settler.flush()
  }
  store.answer = () => Promise.resolve()
  await settler.flush()
  const { events } = store.batches.at(-1)!
  assert.equal(events.length, 1000)
  assert.equal(events.at(-1)!.atMs, 2899)
})

test('any other failure is fatal', async () => {
  const store = new DecidedStore()
  store.answer = () => Promise.reject(new Error('broken'))
  const fatal: unknown[] = []
  const settler = new Settler(store, error => fatal.push(error))
  settler.giveBack([mark(1)])
  await settler.flush()
  assert.equal(String(fatal[0]), 'Error: broken')
})

test('closing commits what waits, and begins nothing more', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  await settler.close()
  assert.equal(store.batches.length, 1)
  settler.giveBack([mark(2)])
  t.mock.timers.tick(1000)
  assert.equal(store.batches.length, 1)
})

test('results within four milliseconds share a commit', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  t.mock.timers.tick(3)
  settler.giveBack([mark(2)])
  assert.equal(store.batches.length, 0)
  t.mock.timers.tick(1)
  assert.deepEqual(
    store.batches.map(batch => batch.giveBacks.length),
    [2],
  )
})
