// On a full disk no event can be deleted; what would make room must be deleted all the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Housekeeping } from './housekeeping.ts'

test('segments that a backup held back go, also while the disk refuses to delete events', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_800_000_000_000 })
  const logged: unknown[] = []
  let swept = 0
  const control = {
    pruneEvents: async (): Promise<number> => {
      throw new Error('no space left')
    },
    sweepSegments: async (): Promise<void> => void swept++,
  }
  using _housekeeping = new Housekeeping(
    { store: { control }, config: { retention: { eventsMs: 1000 } } },
    { event: (name, fields) => void logged.push([name, fields?.['during']]) },
  )
  t.mock.timers.tick(60_000)
  for (let turn = 0; turn < 5; turn++) await nextTurn()
  assert.equal(swept, 1)
  assert.deepEqual(logged, [['store.failed', 'housekeeping']])
})
