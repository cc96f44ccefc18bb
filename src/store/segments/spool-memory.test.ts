// What a content takes in memory while it waits to be written into a segment.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { heapTakenBy } from '../../../test/support/heap.ts'
import { segmentPath } from './paths.ts'
import { SegmentSpool } from './spool.ts'

test('a content that comes octet by octet takes little more memory than its bytes, and is written as it came', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-spool-'))
  try {
    const spool = new SegmentSpool({ dir, thread: 0, nowMs: () => Date.now(), onSealed: () => undefined })
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251))
    const content = spool.begin()
    const takenBytes = heapTakenBy(() => {
      for (const at of bytes.keys()) content.write(bytes.subarray(at, at + 1))
      return content
    })
    assert.ok(takenBytes < 2_000_000, `${takenBytes} bytes of heap`)
    const { extents } = await content.finish()
    assert.equal(extents.length, 1)
    const [{ segment, offsetBytes, sizeBytes }] = extents as [(typeof extents)[number]]
    const written = readFileSync(segmentPath(dir, segment)).subarray(offsetBytes, offsetBytes + sizeBytes)
    assert.ok(written.equals(bytes))
    await spool.close()
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
