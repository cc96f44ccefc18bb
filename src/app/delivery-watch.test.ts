import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settlement, Settler } from '../queue/index.ts'
import { createLog, Metrics } from '../telemetry/index.ts'
import { DeliveryWatch } from './delivery-watch.ts'

test('a delivery before its message began, by a clock that was set back, took no time: the sum never falls', () => {
  const metrics = new Metrics()
  const log = createLog({ level: 'error', output: { write: () => undefined } })
  const settler = { settle: () => undefined } as unknown as Settler
  const watch = new DeliveryWatch(settler, log, metrics)
  const messageId = Buffer.alloc(16)
  messageId.writeUIntBE(1_800_000_000_000, 0, 6)
  for (const tookMs of [2500, -3_600_000]) {
    const atMs = 1_800_000_000_000 + tookMs
    const settlement: Partial<Settlement> = { eventType: 'delivered', messageId, atMs, attempts: 1 }
    watch.settle([settlement as Settlement], [], null)
  }
  const { values } = metrics.deliverySeconds.collect()
  const sum = values.find(one => one.metricName === 'postrider_accepted_to_delivered_seconds_sum')
  assert.equal(sum?.value, 2.5)
})
