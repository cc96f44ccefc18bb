// Walks the extents of all live contents in segment files, in pages: no statement stays open between two of them.

import type { Extent } from '../../queue/index.ts'
import { unpackExtents } from '../format/index.ts'
import type { Database } from './database.ts'

const pageRows = 1000

/** The extents of each live content. */
export function* liveExtents(db: Database): Generator<readonly Extent[], void, undefined> {
  const page = db.prepare(
    'SELECT message_key, extents FROM segment_content WHERE message_key > ? ORDER BY message_key LIMIT ?',
  )
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const rows = page.all(after, pageRows) as unknown as [number, Uint8Array][]
    for (const [key, extents] of rows) {
      after = key
      yield unpackExtents(extents)
    }
    if (rows.length < pageRows) return
  }
}
