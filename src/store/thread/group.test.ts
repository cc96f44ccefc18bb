import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { RawMessage } from '../format/index.ts'
import { packExtents, stateCodes } from '../format/index.ts'
import { segmentDir, segmentPath } from '../segments/index.ts'
import { Database } from '../sqlite/database.ts'
import { databasePath, StoreWriter, type WriterOptions } from '../sqlite/writer.ts'
import { GroupCommitter } from './group.ts'
import type { Reply } from './reply-codec.ts'
import type { Request } from './request-codec.ts'

function open(t: TestContext, options: Partial<WriterOptions> = {}): StoreWriter {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-group-'))
  const writer = StoreWriter.open({ dataDir, node: 1, nowMs: 1, ...options })
  t.after(() => {
    writer.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  return writer
}

let made = 0
function message(content: Buffer | null, extents: Buffer | null = null): RawMessage {
  return {
    id: Buffer.alloc(16, ++made),
    accountKey: 1,
    streamKey: 1,
    acceptedAtMs: 1,
    expiresAtMs: 2,
    firstAttemptAtMs: 1,
    priority: 5,
    sizeBytes: 1,
    startState: stateCodes.leased,
    startReason: 0,
    envelope: Buffer.from([1]),
    prefix: Buffer.alloc(0),
    content,
    extents,
    acceptedFacts: Buffer.from([1]),
    recipients: [{ number: 0, domain: 'example.net', head: Buffer.from([1]) }],
  }
}

const accept = (id: number, one: RawMessage): Request => ({ kind: 'accept', id, message: one })
const kinds = (replies: readonly (Reply | null)[]): (string | undefined)[] =>
  replies.map(reply => reply?.kind)

function delivered(id: number, messageKey: number): Request {
  const settlement = {
    messageKey,
    messageId: Buffer.alloc(16, 1),
    recipientNumber: 0,
    recipientCount: 1,
    accountKey: 1,
    streamKey: 1,
    attempts: 1,
    eventType: 3,
    isFinal: true,
    isDelayNotified: false,
    reason: 0,
    atMs: 1,
    nextAttemptAtMs: 0,
    facts: Buffer.from([1]),
    lastOutcome: Buffer.alloc(0),
  }
  return { kind: 'settle', id, batch: { settlements: [settlement], giveBacks: [], messages: [], events: [] } }
}

test('on a full disk only what does not fit fails, and the store goes on when there is room again', t => {
  const writer = open(t)
  const group = new GroupCommitter(writer, { onFatal: () => assert.fail('a full disk is not the end') })
  const pages = Number(writer.db.pragma('page_count'))
  writer.db.exec(`PRAGMA max_page_count = ${pages + 20}`)
  const replies = group.run([
    accept(1, message(Buffer.alloc(10_000))),
    accept(2, message(Buffer.alloc(200_000))),
    accept(3, message(Buffer.alloc(10_000))),
  ])
  assert.deepEqual(kinds(replies), ['stored', 'failed', 'stored'])
  assert.match((replies[1] as { why: string }).why, /no space left/)
  const first = replies[0] as { key: number }
  assert.deepEqual(kinds(group.run([delivered(4, first.key)])), ['settled'])
  assert.deepEqual(kinds(group.run([accept(5, message(Buffer.alloc(10_000)))])), ['stored'])
})

test('when syncing a segment fails, messages in it fail from then on and others do not', t => {
  let isBroken = true
  const writer = open(t, {
    syncSegment: () => {
      if (isBroken) throw new Error('EIO')
    },
  })
  const dir = segmentDir(join(writer.db.path, '..'))
  for (const segment of [1, 2]) writeFileSync(segmentPath(dir, segment), 'content')
  const extents = (segment: number): Buffer => packExtents([{ segment, offsetBytes: 0, sizeBytes: 7 }])
  const group = new GroupCommitter(writer, { onFatal: () => assert.fail('the database is well') })
  const replies = group.run([accept(1, message(null, extents(1))), accept(2, message(Buffer.from('x')))])
  assert.deepEqual(kinds(replies), ['failed', 'stored'])
  isBroken = false
  const later = group.run([accept(3, message(null, extents(1))), accept(4, message(null, extents(2)))])
  assert.deepEqual(kinds(later), ['failed', 'stored'])
})

test('what cannot be deleted after a commit does not undo it: the answer is what is on disk', t => {
  const writer = open(t)
  const dir = segmentDir(join(writer.db.path, '..'))
  writeFileSync(segmentPath(dir, 1), 'content')
  const group = new GroupCommitter(writer, { onFatal: () => assert.fail('the database is well') })
  const one = message(null, packExtents([{ segment: 1, offsetBytes: 0, sizeBytes: 7 }]))
  const [stored] = group.run([accept(1, one), { kind: 'sealed', id: 0, segment: 1 }])
  // Nobody can look into the folder now, as when no descriptor is left.
  rmSync(dir, { recursive: true })
  const replies = group.run([
    accept(2, message(Buffer.from('x'))),
    delivered(3, (stored as { key: number }).key),
  ])
  assert.deepEqual(kinds(replies), ['stored', 'settled'])
})

test('refused commits are told with their reason, and the first one that writes again ends that', t => {
  const told: (string | null)[] = []
  const writer = open(t)
  const group = new GroupCommitter(writer, {
    onFatal: () => assert.fail('a full disk is not the end'),
    onRefusing: why => void told.push(why),
  })
  const pages = Number(writer.db.pragma('page_count'))
  writer.db.exec(`PRAGMA max_page_count = ${pages + 2}`)
  group.run([accept(1, message(Buffer.alloc(200_000)))])
  // Nothing is due: this commit writes nothing, and so says nothing.
  group.run([{ kind: 'lease', id: 2, recipientsMax: 10, nowMs: 1, shares: { each: 10, less: new Map() } }])
  assert.equal(told.length, 1)
  assert.match(told[0] ?? '', /no space left/)
  writer.db.exec('PRAGMA max_page_count = 100000')
  group.run([accept(3, message(Buffer.alloc(200_000)))])
  assert.equal(told.at(-1), null)
})

test('every commit is counted, however many there are before somebody asks', t => {
  const group = new GroupCommitter(open(t), { onFatal: () => assert.fail('the database is well') })
  const lease: Request = {
    kind: 'lease',
    id: 1,
    recipientsMax: 1,
    nowMs: 1,
    shares: { each: 1, less: new Map() },
  }
  const commits = 20_000
  for (let i = 0; i < commits; i++) group.run([lease, lease, lease])
  const { seconds, operations } = group.tally.facts()
  const total = (counts: Float64Array): number => counts.reduce((sum, count) => sum + count, 0)
  assert.equal(total(seconds.counts), commits)
  assert.equal(total(operations.counts), commits)
  assert.equal(operations.sum, commits * 3)
  assert.equal(operations.counts[2], commits, 'all between 2 and 4')
})

test('a change of the control plane that writes nothing says nothing about the disk', t => {
  const told: (string | null)[] = []
  const writer = open(t)
  const group = new GroupCommitter(writer, {
    onFatal: () => assert.fail('a full disk is not the end'),
    onRefusing: why => void told.push(why),
  })
  writer.db.exec(`PRAGMA max_page_count = ${Number(writer.db.pragma('page_count')) + 2}`)
  group.run([accept(1, message(Buffer.alloc(200_000)))])
  // Nothing is old: housekeeping comes by while the disk is full.
  group.runControl(() => writer.events.prune(0, 1, 0, 500))
  assert.equal(told.length, 1)
  writer.db.exec('PRAGMA max_page_count = 100000')
  group.runControl(() => writer.probe(1))
  assert.equal(told.at(-1), null)
})

test('while another program holds the database the whole group fails after one wait', t => {
  const writer = open(t)
  const group = new GroupCommitter(writer, { onFatal: () => assert.fail('a lock is not the end') })
  writer.db.exec('PRAGMA busy_timeout = 400')
  const other = Database.openWriter(writer.db.path)
  other.exec('BEGIN IMMEDIATE')
  const startedMs = performance.now()
  const replies = group.run([1, 2, 3].map(id => accept(id, message(Buffer.from('x')))))
  const tookMs = performance.now() - startedMs
  other.close()
  assert.deepEqual(kinds(replies), ['failed', 'failed', 'failed'])
  assert.match((replies[0] as { why: string }).why, /locked by another program/)
  assert.ok(tookMs < 1100, `waited ${tookMs} ms`)
  assert.deepEqual(kinds(group.run([accept(4, message(Buffer.from('x')))])), ['stored'])
})

test('after a damaged page the store is not used again: it says so once, and everything fails at once', t => {
  const told: string[] = []
  const writer = open(t)
  const group = new GroupCommitter(writer, { onFatal: error => void told.push(error.code) })
  writer.db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  const path = databasePath(join(writer.db.path, '..'))
  const sizeBytes = statSync(path).size
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, Buffer.alloc(sizeBytes - 4096, 0xaa), 0, sizeBytes - 4096, 4096)
  closeSync(descriptor)
  writer.db.exec('PRAGMA shrink_memory')
  const replies = group.run([accept(1, message(Buffer.from('x'))), delivered(2, 1)])
  assert.deepEqual(kinds(replies), ['failed', 'broken'])
  assert.deepEqual(kinds(group.run([accept(3, message(Buffer.from('y')))])), ['failed'])
  assert.deepEqual(told, ['PR_STORE_CORRUPT'])
})
