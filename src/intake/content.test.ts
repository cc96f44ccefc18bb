// The keeper of a content that arrives: few parts whatever the pieces, and nothing more once it was given up.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SegmentSpool } from '../store/segments/index.ts'
import { ContentKeeper, Copies } from './content.ts'

/** A spool in a folder of its own, and the segments that it gave up. */
function openSpool() {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-keeper-'))
  const sealed: number[] = []
  const spool = new SegmentSpool({
    dir,
    thread: 0,
    nowMs: () => Date.now(),
    onSealed: segment => sealed.push(segment),
  })
  return { spool, dir, sealed, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}

test('a content that comes octet by octet is kept in a few parts', () => {
  using opened = openSpool()
  const keeper = new ContentKeeper(opened.spool, Number.MAX_SAFE_INTEGER, new Copies())
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251))
  for (const at of content.keys()) assert.equal(keeper.push(content.subarray(at, at + 1)), undefined)
  assert.ok(keeper.parts!.length < 20, `${keeper.parts!.length} parts`)
  assert.ok(Buffer.concat(keeper.parts!).equals(content))
})

test('a content that was given up while it waited for the disk begins no other file', async () => {
  using opened = openSpool()
  const crowd = opened.spool.begin()
  const crowded = crowd.write(Buffer.alloc(17 * 1024 * 1024))
  const keeper = new ContentKeeper(opened.spool, 16 * 1024, new Copies())
  const waits = keeper.push(Buffer.alloc(20 * 1024))
  assert.ok(waits !== undefined, 'the spool is crowded')
  keeper.abort()
  await Promise.all([crowded, waits])
  // What the session had still to bring when it was lost.
  assert.equal(keeper.push(Buffer.alloc(300 * 1024)), undefined)
  crowd.abort()
  await opened.spool.close()
  assert.equal(opened.sealed.length, 1, 'nobody uses the segment any more')
})

test('copies of contents that are in segments are bounded; beyond, contents are in segments only', async () => {
  using opened = openSpool()
  const copies = new Copies(250_000)
  const pieces = Array.from({ length: 10 }, (_, at) => Buffer.alloc(10_000, at + 1))
  const kept = async (): Promise<ContentKeeper> => {
    const keeper = new ContentKeeper(opened.spool, 16 * 1024, copies)
    for (const piece of pieces) await keeper.push(piece)
    return keeper
  }
  const [first, second, third] = [await kept(), await kept(), await kept()]
  for (const keeper of [first, second]) assert.ok(Buffer.concat(keeper.parts!).equals(Buffer.concat(pieces)))
  // Not `equal`: its picture of the difference would take minutes.
  assert.ok(third.parts === null, 'a copy that is not whole is none')
  const stored = await third.finish()
  assert.equal(stored.sizeBytes, 100_000)
  assert.equal(stored.kind, 'segments')
  first.letGo()
  assert.ok((await kept()).parts !== null, 'there is room again')
  second.abort()
  assert.ok((await kept()).parts !== null, 'and again')
  assert.ok((await kept()).parts === null)
})
