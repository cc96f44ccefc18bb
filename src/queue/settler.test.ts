// The settler: what is gathered into one commit, and what a store that refuses does to it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { NewMessage } from './message.ts'
import type { GiveBack, SettleBatch, Settlement } from './port.ts'
import { Settler } from './settler.ts'

/** Any value: the settler looks at none. */
const mark = (key: number): GiveBack => ({ messageKey: key }) as GiveBack

const result = (key: number, recipientNumber = 0): Settlement =>
  ({ messageKey: key, recipientNumber }) as Settlement

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

test('a commit takes about a thousand results; the rest goes into further ones, in order, and flush waits for all', async () => {
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  let done = 0
  for (let key = 1; key <= 2500; key++) settler.settle([result(key)], [], () => done++)
  settler.giveBack(Array.from({ length: 1700 }, (_, at) => mark(at)))
  assert.equal(settler.waiting, 2500)
  await settler.flush()
  assert.deepEqual(
    store.batches.map(batch => [batch.settlements.length, batch.giveBacks.length]),
    [
      [1000, 0],
      [1000, 0],
      [500, 1700],
    ],
  )
  const keys = store.batches.flatMap(batch => batch.settlements.map(one => one.messageKey))
  assert.deepEqual(
    keys,
    Array.from({ length: 2500 }, (_, at) => at + 1),
  )
  assert.equal(done, 2500)
  assert.equal(settler.waiting, 0)
})

test('results that come faster than a thousand a commit go do not pile up: the last commit in line takes them all', async () => {
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  let last = 0
  let most = 0
  const come = (): void => {
    for (let i = 0; i < 2000; i++) settler.settle([result(++last)], [], null)
  }
  store.answer = async () => {
    if (store.batches.length < 100) come()
    most = Math.max(most, settler.waiting)
  }
  come()
  await settler.close()
  assert.ok(most <= 30_000, `${most} wait`)
  assert.deepEqual(
    store.batches.flatMap(batch => batch.settlements.map(one => one.messageKey)),
    Array.from({ length: last }, (_, at) => at + 1),
  )
})

test('what settles together is one commit, with its report, however much it is', async () => {
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  const report = { sizeBytes: 10 } as NewMessage
  for (let key = 1; key <= 999; key++) settler.settle([result(key)], [], null)
  settler.settle(
    Array.from({ length: 1500 }, (_, at) => result(1000, at)),
    [report],
    null,
  )
  settler.settle([result(1001)], [], null)
  await settler.flush()
  assert.deepEqual(
    store.batches.map(batch => [batch.settlements.length, batch.messages.length]),
    [
      [2499, 1],
      [1, 0],
    ],
  )
})

test('commits that a full disk refused come in their order when there is room, and closing waits for them', async () => {
  const store = new DecidedStore()
  store.answer = fullDisk
  const settler = new Settler(store, mustNot)
  let done = 0
  const report = { sizeBytes: 20 * 1024 * 1024 } as NewMessage
  for (let key = 1; key <= 2500; key++)
    settler.settle([result(key)], key % 1200 === 0 ? [report] : [], () => done++)
  assert.ok(settler.isCrowded, 'by the reports of two commits')
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 900; at++) settler.event({ atMs: round * 1000 + at } as never)
    await settler.flush()
  }
  const refused = store.batches.length
  store.answer = () => Promise.resolve()
  await settler.close()
  const taken = store.batches.slice(refused)
  assert.deepEqual(
    taken.flatMap(batch => batch.settlements.map(one => one.messageKey)),
    Array.from({ length: 2500 }, (_, at) => at + 1),
  )
  assert.equal(done, 2500)
  assert.ok(!settler.isCrowded)
  const events = taken.flatMap(batch => batch.events)
  assert.ok(events.length <= 1000 + 900, `${events.length} events`)
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

test('flushing ends although every commit brings more', async () => {
  const store = new DecidedStore()
  const settler = new Settler(store, mustNot)
  store.answer = async () => {
    // Past the rounds that are right nothing more comes, so that this ends even when the rule is broken.
    if (store.batches.length < 20) settler.giveBack([mark(store.batches.length + 1)])
  }
  settler.giveBack([mark(1)])
  await settler.flush()
  assert.ok(store.batches.length <= 2, `${store.batches.length} batches`)
})

test('flushing during a commit waits for that one and for one more, and so do two at once', async () => {
  const store = new DecidedStore()
  const first = Promise.withResolvers<void>()
  store.answer = () => first.promise
  const settler = new Settler(store, mustNot)
  settler.giveBack([mark(1)])
  const begun = settler.flush()
  settler.giveBack([mark(2)])
  const both = [settler.flush(), settler.flush()]
  store.answer = () => Promise.resolve()
  first.resolve()
  await Promise.all([begun, ...both])
  assert.deepEqual(
    store.batches.map(batch => batch.giveBacks.map(one => one.messageKey)),
    [[1], [2]],
  )
})

/** Runs `body` in a thread. @returns the error that ended it, and what it said before. */
async function inThread(body: string): Promise<{ readonly error: string; readonly said: string[] }> {
  const queueUrl = new URL('./index.ts', import.meta.url).href
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const alive = setInterval(() => {}, 1000)
     setTimeout(() => { clearInterval(alive); parentPort.close() }, 3000)
     const say = text => parentPort.postMessage(text)
     import('${queueUrl}').then(async ({ LeaseLoop, Settler }) => { ${body} })`,
    { eval: true },
  )
  const said: string[] = []
  let error = ''
  worker.on('message', text => said.push(text))
  worker.on('error', thrown => {
    error = (thrown as Error).message
  })
  await new Promise(resolve => worker.on('exit', resolve))
  return { error, said }
}

const throwing = `error => { throw new Error('fatal: ' + error.message) }`

test('what onFatal throws ends the thread, although somebody waits in flush', async () => {
  const { error } = await inThread(`
    const settler = new Settler({ settle: () => Promise.reject(new Error('broken')) }, ${throwing})
    settler.giveBack([{}])
    await settler.flush().catch(thrown => say('the waiter got ' + thrown.message))`)
  assert.equal(error, 'fatal: broken')
})

test('what onFault of the lease loop throws ends the thread, although somebody waits in stop', async () => {
  const { error } = await inThread(`
    const taker = { roomRecipients: () => 1, leaseShares: () => ({ each: 1, less: new Map() }), enqueue: () => {} }
    const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }
    const store = { lease: () => Promise.reject(new Error('broken')) }
    const leases = new LeaseLoop(store, taker, clock, { pollMs: 100, recipientsMax: 1 }, ${throwing})
    leases.start()
    await leases.stop().catch(thrown => say('the waiter got ' + thrown.message))`)
  assert.equal(error, 'fatal: broken')
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

test('reports that wait for a full disk are counted, until they are on it', async () => {
  const store = new DecidedStore()
  store.answer = fullDisk
  const settler = new Settler(store, mustNot)
  const report = { sizeBytes: 1024 * 1024 } as NewMessage
  for (let i = 0; i < 40; i++) {
    settler.settle([{} as Settlement], [report], null)
    await settler.flush()
  }
  assert.ok(settler.isCrowded)
  const end = Promise.withResolvers<void>()
  store.answer = () => end.promise
  const flushed = settler.flush()
  assert.ok(settler.isCrowded, 'while they are under way, too')
  end.resolve()
  await flushed
  assert.ok(!settler.isCrowded)
})
