import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SegmentReader, segmentPath } from './index.ts'

function open(t: TestContext): { dir: string; reader: SegmentReader } {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-reader-'))
  const reader = new SegmentReader(dir)
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
