// The counts that threads share, with real threads: none is lost, and hosts hardly ever share a slot.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { DoorCounts } from './door-counts.ts'

test('four threads that let clients in and out at the same time lose no count', {
  timeout: 60_000,
}, async () => {
  const memory = DoorCounts.allocate(42)
  const work = `
    import { workerData } from 'node:worker_threads'
    import { DoorCounts } from ${JSON.stringify(new URL('door-counts.ts', import.meta.url).href)}
    const counts = new DoorCounts(workerData)
    for (let i = 0; i < 50_000; i++) {
      counts.sessionBegan()
      if (counts.enter('192.0.2.1', 1e6, 1e6, 0) === null && i % 5000 !== 0) counts.leave('192.0.2.1')
      if (i % 5000 !== 0) counts.sessionEnded()
    }`
  const url = new URL(`data:text/javascript,${encodeURIComponent(work)}`)
  const workers = Array.from({ length: 4 }, () => new Worker(url, { workerData: memory }))
  await Promise.all(workers.map(worker => once(worker, 'exit')))
  const counts = new DoorCounts(memory)
  assert.equal(counts.open('192.0.2.1'), 40)
  assert.equal(counts.sessions, 40)
})

test('of a thousand hosts with a connection open hardly two share a slot', () => {
  for (const hostAt of [
    (i: number) => `192.0.${i >> 8}.${i & 255}`,
    (i: number) => `2001:db8:${i.toString(16)}:0`,
  ]) {
    const counts = new DoorCounts(DoorCounts.allocate(-99))
    const refused = Array.from({ length: 1000 }, (_, i) => counts.enter(hostAt(i), 1, 1e9, 0)).filter(
      bound => bound !== null,
    )
    // By chance eight.
    assert.ok(refused.length < 30, `${refused.length} of 1,000`)
  }
})
