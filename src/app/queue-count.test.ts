// A scrape of a long queue.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics, mergeMetrics } from '../telemetry/index.ts'
import { QueueCount } from './queue-count.ts'

function stage() {
  const waiting: PromiseWithResolvers<{ scheduled: number }>[] = []
  const clock = { atMs: 1_000, monotonicMs: () => clock.atMs }
  const count = () => {
    const one = Promise.withResolvers<{ scheduled: number }>()
    waiting.push(one)
    return one.promise
  }
  return { waiting, clock, queue: new QueueCount(count, clock, { ageMsMax: 30_000, patienceMs: 20 }) }
}

test('a quick count is shown at once, and shown again while it is young', async () => {
  const { waiting, clock, queue } = stage()
  const first = queue.latest()
  waiting[0]!.resolve({ scheduled: 5 })
  assert.deepEqual(await first, { scheduled: 5 })
  clock.atMs += 30_000
  assert.deepEqual(await queue.latest(), { scheduled: 5 })
  assert.equal(waiting.length, 1)
})

test('a scrape does not wait for a slow count: it shows the one before, and a later scrape the new one', async () => {
  const { waiting, clock, queue } = stage()
  assert.equal(await queue.latest(), null)
  assert.equal(await queue.latest(), null)
  assert.equal(waiting.length, 1, 'one count at a time')
  waiting[0]!.resolve({ scheduled: 1_000_000 })
  await waiting[0]!.promise
  assert.deepEqual(await queue.latest(), { scheduled: 1_000_000 })
  clock.atMs += 30_001
  assert.deepEqual(await queue.latest(), { scheduled: 1_000_000 })
  waiting[1]!.resolve({ scheduled: 7 })
  await waiting[1]!.promise
  assert.deepEqual(await queue.latest(), { scheduled: 7 })
})

test('after a count that failed the next scrape counts again', async () => {
  const { waiting, queue } = stage()
  const failing = queue.latest()
  waiting[0]!.reject(new Error('the database is busy'))
  await assert.rejects(failing, /busy/)
  const next = queue.latest()
  waiting[1]!.resolve({ scheduled: 1 })
  assert.deepEqual(await next, { scheduled: 1 })
})

test('a count that fails holds no other metric up, and no old count is shown for it', async () => {
  const { waiting, clock, queue } = stage()
  const metrics = new Metrics()
  const text = () => mergeMetrics([metrics.collect()])
  const shown = queue.show(metrics.queue)
  waiting[0]!.resolve({ scheduled: 5 })
  await shown
  assert.match(await text(), /^postrider_queue_recipients\{state="scheduled"\} 5$/m)
  clock.atMs += 30_001
  const failing = queue.show(metrics.queue)
  waiting[1]!.reject(new Error('disk I/O error'))
  await failing
  metrics.commitsFailed.inc()
  assert.match(await text(), /^postrider_commits_failed_total 1$/m)
  assert.doesNotMatch(await text(), /^postrider_queue_recipients\{/m)
})
