// Whether the segments of a backup hold all that its messages name: it may have been copied on without some of them.

import { lstatSync } from 'node:fs'
import { nameOf, segmentPath } from '../segments/index.ts'
import type { Database } from '../sqlite/database.ts'
import { liveExtents } from '../sqlite/live-extents.ts'

/** What is not there. */
export interface LackingContents {
  /** Messages that cannot be sent. */
  readonly messages: number
  /** Segment files that are missing or too short, by their names. */
  readonly files: readonly string[]
}

/** Looks at the size of each segment, and at no content. */
export function lackingContents(db: Database, segments: string): LackingContents {
  const sizes = new Map<number, number>()
  const lacking = new Set<number>()
  let messages = 0
  for (const extents of liveExtents(db)) {
    let isWhole = true
    for (const { segment, offsetBytes, sizeBytes } of extents) {
      const has = sizes.get(segment) ?? sizeOf(segmentPath(segments, segment))
      sizes.set(segment, has)
      if (offsetBytes + sizeBytes <= has) continue
      lacking.add(segment)
      isWhole = false
    }
    if (!isWhole) messages++
  }
  return { messages, files: [...lacking].map(nameOf) }
}

/** 0 also for what would not be copied. */
function sizeOf(path: string): number {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : 0
}
