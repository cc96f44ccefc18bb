// Holds each accepting reply against the system calls before it: had its message been synced when it left?
//
// For each id: 1. the write-ahead log was written with a page that names it; 2. the frame that commits it
// followed; 3. a sync of the log began after that and succeeded before the reply's write began; 4. for content in
// segments, each write with a piece of it had been synced before the log was written. One sync may serve many
// replies: that is group commit.

import { parseId } from '../../src/base/index.ts'
import type { Ledger } from './load.ts'
import type { DiskOperation } from './trace.ts'

/** What was found. */
export interface SyncedReplies {
  readonly replies: number
  /** Replies whose content lay in segments. */
  readonly large: number
  /** The most replies that one sync of the log stood for. */
  readonly largestGroup: number
  /** Replies that left too early, with the reason. */
  readonly tooEarly: readonly string[]
}

type Write = Extract<DiskOperation, { kind: 'write' }>
type Sync = Extract<DiskOperation, { kind: 'sync' }>

/** How far back a message's writes are looked for. */
const windowOperations = 6000
const logPath = /postrider\.db-wal$/
const frameHeadBytes = 24

/** Judges every accepting reply of a recording. */
export function checkReplies(operations: readonly DiskOperation[], ledger: Ledger): SyncedReplies {
  const tooEarly: string[] = []
  const groups = new Map<Sync, number>()
  let replies = 0
  let large = 0
  for (const [at, operation] of operations.entries()) {
    if (operation.kind !== 'reply') continue
    const before = operations.slice(Math.max(0, at - windowOperations), at)
    for (const id of operation.ids) {
      replies++
      const commit = commitOf(id, before)
      const sync =
        commit === null ? undefined : syncBetween(before, commit.path, commit.endedAt, operation.begunAt)
      if (commit === null) tooEarly.push(`${id}: it is not in the log`)
      else if (sync === undefined) tooEarly.push(`${id}: no sync of the log between its commit and its reply`)
      else groups.set(sync, (groups.get(sync) ?? 0) + 1)
      const pieces = piecesOf(ledger.acknowledged.get(id)?.number, before)
      if (pieces.length > 0) large++
      const loose = pieces.find(
        piece =>
          commit === null || syncBetween(before, piece.path, piece.endedAt, commit.begunAt) === undefined,
      )
      if (loose !== undefined)
        tooEarly.push(`${id}: its content in ${loose.path} was not synced before the log`)
    }
  }
  return { replies, large, largestGroup: Math.max(0, ...groups.values()), tooEarly }
}

/** The write of the frame that commits the first page on which the id stands. */
function commitOf(id: string, before: readonly DiskOperation[]): Write | null {
  const bytes = parseId('msg', id)!
  const isLog = (one: DiskOperation | undefined): one is Write =>
    one?.kind === 'write' && logPath.test(one.path)
  const first = before.findIndex(one => isLog(one) && one.data.includes(bytes))
  if (first < 0) return null
  let isLast = false
  // A frame is a head of 24 bytes and a page; the head of the last one holds the database's size.
  for (const one of before.slice(Math.max(0, first - 1))) {
    if (!isLog(one)) continue
    if (one.data.length === frameHeadBytes) isLast = one.data.readUInt32BE(4) > 0
    else if (isLast) return one
  }
  return null
}

function piecesOf(number: number | undefined, before: readonly DiskOperation[]): Write[] {
  if (number === undefined) return []
  const mark = `message ${number} z`
  return before.filter(
    one => one.kind === 'write' && one.path.endsWith('.seg') && one.data.includes(mark),
  ) as Write[]
}

function syncBetween(
  before: readonly DiskOperation[],
  path: string,
  after: number,
  until: number,
): Sync | undefined {
  return before.find(
    (one): one is Sync =>
      one.kind === 'sync' && one.path === path && one.begunAt > after && one.endedAt < until,
  )
}
