import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LogFields } from '../telemetry/index.ts'
import { WalWatch } from './wal-watch.ts'

test('a write-ahead log that has grown is copied, and the log says once a minute why that does not help', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-wal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'postrider.db-wal')
  const lines: LogFields[] = []
  const log = { event: (name: string, fields: LogFields = {}) => void lines.push({ name, ...fields }) }
  let monotonicMs = 0
  let copies = 0
  const checkpoint = async (): Promise<void> => {
    copies++
    throw new Error('the disk refused a write')
  }
  const clock = { nowMs: () => 0, monotonicMs: () => monotonicMs }
  using watch = new WalWatch(path, checkpoint, clock, {
    ...log,
    writes: () => true,
    with: () => assert.fail(),
  })
  await watch.look()
  writeFileSync(path, '')
  truncateSync(path, 64 * 1024 * 1024)
  await watch.look()
  assert.deepEqual([copies, lines.length], [0, 0], 'a size that it may have')
  truncateSync(path, 100 * 1024 * 1024)
  for (let times = 0; times < 3; times++) await watch.look()
  assert.deepEqual(lines, [
    { name: 'store.wal-grows', sizeBytes: 100 * 1024 * 1024, why: 'the disk refused a write' },
  ])
  monotonicMs = 60_000
  await watch.look()
  assert.deepEqual([copies, lines.length], [2, 2])
})

test('a log whose size nobody can tell is not looked after, and ends nothing', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-wal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'postrider.db-wal')
  // Stands for all but "not there": a folder that may no longer be entered, a disk that fails.
  symlinkSync(path, path)
  const nothing = (): never => assert.fail()
  const clock = { nowMs: () => 0, monotonicMs: () => 0 }
  using watch = new WalWatch(path, async () => nothing(), clock, {
    event: nothing,
    writes: () => true,
    with: nothing,
  })
  await watch.look()
})
