import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Timers } from '../../base/index.ts'
import { SegmentReader, segmentPath } from './index.ts'

function open(t: TestContext, timers?: Timers): { dir: string; reader: SegmentReader } {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-reader-'))
  const reader = new SegmentReader(dir, timers)
  t.after(async () => {
    await reader.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return { dir, reader }
}

const extents = [{ segment: 7, offsetBytes: 0, sizeBytes: 4 }]

test('a segment that could not be opened once is read when it can be', async t => {
  const { dir, reader } = open(t)
  const path = segmentPath(dir, 7)
  // Any failure but "not there": here the name leads back to itself.
  symlinkSync(path, path)
  await assert.rejects(reader.readAll(extents), { code: 'ELOOP' })
  unlinkSync(path)
  writeFileSync(path, 'mail')
  assert.deepEqual(await reader.readAll(extents), Buffer.from('mail'))
})

test('a segment that was missing is looked for again', async t => {
  const { dir, reader } = open(t)
  assert.equal(await reader.readAll(extents), null)
  writeFileSync(segmentPath(dir, 7), 'mail')
  assert.deepEqual(await reader.readAll(extents), Buffer.from('mail'))
})

test('a failed read leaves the segment open for the next one', async t => {
  const { dir, reader } = open(t)
  const path = segmentPath(dir, 7)
  mkdirSync(path)
  await assert.rejects(reader.readAll(extents), { code: 'EISDIR' })
  rmdirSync(path)
})

/** Timers that the test lets go off. */
function timersInto(waiting: (() => void)[]): Timers {
  return {
    after: (_, run) => {
      waiting.push(run)
      return () => {}
    },
  }
}

/** Whether this process has it open. */
function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some(descriptor => {
    try {
      return readlinkSync(join('/proc/self/fd', descriptor)).startsWith(path)
    } catch {
      // The one by which the folder was read.
      return false
    }
  })
}

test('a deleted segment gives its space back soon after its last read', async t => {
  const waiting: (() => void)[] = []
  const { dir, reader } = open(t, timersInto(waiting))
  const path = segmentPath(dir, 7)
  writeFileSync(path, 'mail')
  await reader.readAll(extents)
  waiting.shift()!()
  await reader.readAll(extents)
  waiting.shift()!()
  assert.ok(isOpen(path), 'it was read since the look before')
  unlinkSync(path)
  waiting.shift()!()
  for (let i = 0; i < 500 && isOpen(path); i++) await sleep(10)
  assert.equal(isOpen(path), false)
  assert.deepEqual(waiting, [], 'nothing is open, nothing is looked for')
  assert.equal(await reader.readAll(extents), null)
})

test('a segment stays open while it is read, however long that takes', async t => {
  const waiting: (() => void)[] = []
  const { dir, reader } = open(t, timersInto(waiting))
  writeFileSync(segmentPath(dir, 7), 'mail')
  const reading = reader.readAll(extents)
  for (let look = 0; look < 3; look++) waiting.shift()!()
  assert.deepEqual(await reading, Buffer.from('mail'))
  assert.equal(waiting.length, 1)
})
