import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { StoreWriter } from './writer.ts'

const nowMs = 1_800_000_000_000
const dayMs = 86_400_000

function open(t: TestContext): StoreWriter {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-events-'))
  const writer = StoreWriter.open({ dataDir, node: 1, nowMs })
  t.after(() => {
    writer.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  return writer
}

/** One event for each time, in this order. */
function append(writer: StoreWriter, times: readonly number[]): void {
  writer.transaction(() => {
    for (const atMs of times) writer.events.append(1, atMs, 1, 1, null, -1, Buffer.alloc(0))
  })
}

/** Prunes what is older than a day, in steps. @returns the times that are left. */
function prune(writer: StoreWriter, limit: number): number[] {
  for (let at: number | null = 0; at !== null; )
    at = writer.transaction(() => writer.events.prune(nowMs - dayMs, nowMs, at!, limit)).cursor
  const rows = writer.db.prepare('SELECT at_ms FROM event ORDER BY seq').all() as unknown as [number][]
  return rows.map(([atMs]) => atMs)
}

test('an event from the future keeps no older ones behind it', t => {
  const writer = open(t)
  const future = Array.from({ length: 7 }, () => nowMs + 1000 * dayMs)
  const old = Array.from({ length: 25 }, () => nowMs - 2 * dayMs)
  append(writer, [...future, ...old, nowMs, nowMs])
  assert.deepEqual(prune(writer, 3), [...future, nowMs, nowMs])
})

test('pruning ends at the first window in which nothing was old enough', t => {
  const writer = open(t)
  append(
    writer,
    Array.from({ length: 10 }, () => nowMs),
  )
  assert.deepEqual(
    writer.transaction(() => writer.events.prune(nowMs - dayMs, nowMs, 0, 3)),
    { gone: 0, cursor: null },
  )
})

test('the newest event stays also after numbers were rolled back', t => {
  const writer = open(t)
  append(writer, [nowMs - 3 * dayMs, nowMs - 2 * dayMs])
  assert.throws(() =>
    writer.transaction(() => {
      writer.events.append(1, nowMs, 1, 1, null, -1, Buffer.alloc(0))
      throw new Error('rolled back')
    }),
  )
  assert.deepEqual(prune(writer, 10), [nowMs - 2 * dayMs])
})
