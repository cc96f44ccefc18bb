// When a segment is sealed, and until when it stays open.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SegmentLedger, SegmentSpool, segmentPath } from './index.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-spool-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function openSpool(dir: string, segmentBytesMax: number): { spool: SegmentSpool; sealed: number[] } {
  const sealed: number[] = []
  const onSealed = (segment: number): void => void sealed.push(segment)
  return { spool: new SegmentSpool({ dir, thread: 0, nowMs: () => 1, segmentBytesMax, onSealed }), sealed }
}

/** Lets every writev wait for `gate`. */
async function holdWrites(t: TestContext, dir: string, gate: Promise<void>): Promise<void> {
  const probe = await open(join(dir, 'probe'), 'w')
  const prototype = Object.getPrototypeOf(probe) as FileHandle
  await probe.close()
  const { writev } = prototype
  t.mock.method(prototype, 'writev', async function (this: FileHandle, ...args: Parameters<typeof writev>) {
    await gate
    return await writev.apply(this, args)
  })
}

async function store(spool: SegmentSpool, text: string) {
  const content = spool.begin()
  await content.write(Buffer.from(text))
  return (await content.finish()).extents
}

test('a segment that is given up during a write is sealed after it, and is never trusted again', async t => {
  const dir = folder(t)
  const { spool, sealed } = openSpool(dir, 1_000_000)
  const first = await store(spool, 'first')
  const segment = first[0]!.segment
  const gate = Promise.withResolvers<void>()
  await holdWrites(t, dir, gate.promise)
  const second = store(spool, 'second')
  await sleep(20)
  // The store's word on the first content: its segment could not be synced.
  let isBroken = true
  const ledger = new SegmentLedger(
    dir,
    () => false,
    () => {
      if (isBroken) throw new Error('EIO')
    },
  )
  assert.deepEqual([...ledger.sync(new Set([segment]))], [segment])
  spool.leaveSegment(segment)
  spool.release(first)
  assert.deepEqual(sealed, [])
  gate.resolve()
  const extents = await second
  isBroken = false
  assert.deepEqual([...ledger.sync(new Set([extents[0]!.segment]))], [segment])
  spool.release(extents)
  assert.deepEqual(sealed, [segment])
  ledger.seal(segment)
  writeFileSync(segmentPath(dir, segment), 'back')
  assert.deepEqual([...ledger.sync(new Set([segment]))], [segment])
  ledger.close()
})

test('an upload that ends during its write lets the segment go, and only after the write', async t => {
  const dir = folder(t)
  const { spool, sealed } = openSpool(dir, 1_000_000)
  const gate = Promise.withResolvers<void>()
  await holdWrites(t, dir, gate.promise)
  const content = spool.begin()
  await content.write(Buffer.from('given up'))
  const finished = content.finish()
  await sleep(20)
  content.abort()
  gate.resolve()
  await finished
  assert.deepEqual(sealed, [])
  await spool.close()
  assert.equal(sealed.length, 1)
})

test('the number of a deleted segment is not given again when the clock was set back', async t => {
  const dir = folder(t)
  // This clock stands.
  const { spool, sealed } = openSpool(dir, 5)
  const first = await store(spool, 'first')
  spool.release(first)
  const second = await store(spool, 'second')
  assert.deepEqual(sealed, [first[0]!.segment])
  rmSync(segmentPath(dir, first[0]!.segment))
  spool.release(second)
  const third = await store(spool, 'third')
  assert.equal(new Set([...first, ...second, ...third].map(extent => extent.segment)).size, 3)
  await spool.close()
})

/** Whether this process has the file open; needs Linux. */
function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some(name => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === path
    } catch {
      return false
    }
  })
}

test('a full segment stays open until every content in it has its answer', async t => {
  if (process.platform !== 'linux') return
  const dir = folder(t)
  const { spool, sealed } = openSpool(dir, 5)
  const first = await store(spool, 'first')
  const second = await store(spool, 'second')
  const full = segmentPath(dir, first[0]!.segment)
  assert.notEqual(second[0]!.segment, first[0]!.segment)
  await sleep(50)
  assert.ok(isOpen(full))
  spool.release(first)
  assert.deepEqual(sealed, [first[0]!.segment])
  while (isOpen(full)) await sleep(5)
  spool.release(second)
  await spool.close()
})
