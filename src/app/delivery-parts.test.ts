import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deliveryOptionsOf } from './delivery-parts.ts'
import { submissionOptionsOf } from './submission-options.ts'
import { configOf } from './test-kit.ts'

test('bounds of replies and headers are those of the configuration', () => {
  const config = configOf('[limits]\nreply_lines = 7\nreply_size = "1KiB"\nheader_fields = 30\n')
  const { limits } = deliveryOptionsOf(config, 1, null)
  assert.deepEqual([limits.reply?.linesMax, limits.reply?.bytesMax], [7, 1024])
  assert.equal(submissionOptionsOf(config).headerFieldsMax, 30)
})

test('bounds of the whole process are divided by the threads, rounded up', () => {
  const config = configOf('[delivery]\nconnections_per_site = 5\nconnections_total = 1\n')
  const { connectionsPerSite, connectionsTotal } = deliveryOptionsOf(config, 2, null)
  assert.deepEqual([connectionsPerSite, connectionsTotal], [3, 1])
})
