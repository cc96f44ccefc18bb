import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PackWriter } from '../../base/index.ts'
import type { NewMessage } from '../../queue/index.ts'
import { stateCodes, writeEnvelope, writeHead } from '../format/index.ts'
import { StoreWriter } from './writer.ts'

const minuteMs = 60_000
const dayMs = 86_400_000
const yearMs = 365 * dayMs
/** The clock before it jumps. */
const beforeMs = 1_700_000_000_000

interface Queue {
  readonly writer: StoreWriter
  /** The rows' next attempts, after what the clock said before. */
  waits(): number[]
  reopen(nowMs: number): Queue
}

function open(t: TestContext, dataDir: string = '', nowMs: number = beforeMs): Queue {
  const dir = dataDir === '' ? mkdtempSync(join(tmpdir(), 'postrider-jumps-')) : dataDir
  if (dataDir === '') t.after(() => rmSync(dir, { recursive: true, force: true }))
  const writer = StoreWriter.open({ dataDir: dir, node: 1, nowMs })
  t.after(() => writer.close())
  return {
    writer,
    waits: () =>
      (writer.db.prepare('SELECT next_at_ms FROM recipient ORDER BY key').all() as unknown as [number][]).map(
        ([atMs]) => atMs - beforeMs,
      ),
    reopen: atMs => {
      writer.close()
      return open(t, dir, atMs)
    },
  }
}

const envelope = packed(to =>
  writeEnvelope(to, {
    content: { kind: 'inline', parts: [], sizeBytes: 1 },
    ret: '',
    reversePath: '',
    sentReversePath: '',
    envelopeId: '',
  } as unknown as NewMessage),
)
const head = packed(to => writeHead(to, { notify: 0, forwardPath: 'a@example.net', originalRecipient: '' }))

function packed(write: (to: PackWriter) => void): Buffer {
  const to = new PackWriter(256)
  write(to)
  return Buffer.from(to.view())
}

let made = 0
/** A message that waits until then and expires an hour after its acceptance. */
function add({ writer }: Queue, nextAtMs: number, acceptedAtMs: number = beforeMs): number {
  return writer.transaction(() =>
    writer.messages.insert({
      id: Buffer.alloc(16, ++made),
      accountKey: 1,
      streamKey: 1,
      acceptedAtMs,
      expiresAtMs: acceptedAtMs + 60 * minuteMs,
      firstAttemptAtMs: nextAtMs,
      priority: 5,
      sizeBytes: 1,
      startState: stateCodes.scheduled,
      startReason: 0,
      envelope,
      prefix: Buffer.alloc(0),
      content: Buffer.from('x'),
      extents: null,
      acceptedFacts: Buffer.from([1]),
      recipients: [{ number: 0, domain: 'example.net', head }],
    }),
  )
}

function jump({ writer }: Queue, byMs: number, fromMs: number = beforeMs): void {
  const one = { beforeMs: fromMs, nowMs: fromMs + byMs, byMs }
  for (let from: number | null = 0; from !== null; ) {
    const fromKey: number = from
    from = writer.transaction(() => writer.clockJumped(one, fromKey))
  }
}

test('a jump ahead moves what waits and its expiry; what is due, and what came since, stays; told twice is told once', t => {
  const queue = open(t)
  add(queue, beforeMs - minuteMs)
  const waiting = add(queue, beforeMs + 5 * minuteMs)
  add(queue, beforeMs + dayMs + minuteMs)
  for (let times = 0; times < 2; times++) {
    jump(queue, dayMs)
    assert.deepEqual(queue.waits(), [-minuteMs, dayMs + 5 * minuteMs, dayMs + minuteMs])
  }
  const leased = queue.writer.transaction(() => queue.writer.lease(10, beforeMs + dayMs + 5 * minuteMs))
  const one = leased.find(({ key }) => key === waiting)
  assert.equal(one?.expiresAtMs, beforeMs + dayMs + 60 * minuteMs)
})

test('the longer life of a jump ahead outlives a restart, and is not given to new messages', t => {
  const first = open(t)
  const old = add(first, beforeMs + minuteMs)
  jump(first, dayMs)
  const queue = first.reopen(beforeMs + dayMs)
  const fresh = add(queue, beforeMs + minuteMs)
  const leased = queue.writer.transaction(() => queue.writer.lease(10, beforeMs + 2 * dayMs))
  const lives = new Map(leased.map(({ key, expiresAtMs }) => [key, expiresAtMs - beforeMs]))
  assert.deepEqual([lives.get(old), lives.get(fresh)], [dayMs + 60 * minuteMs, 60 * minuteMs])
})

test('a jump back brings what waits earlier by as much, at most to now, and leases it when it is due', t => {
  const queue = open(t)
  add(queue, beforeMs - minuteMs)
  add(queue, beforeMs + 5 * minuteMs)
  jump(queue, -dayMs)
  assert.deepEqual(queue.waits(), [-dayMs, -dayMs + 5 * minuteMs])
  const lease = (atMs: number) =>
    queue.writer.transaction(() => queue.writer.lease(10, beforeMs - dayMs + atMs))
  assert.equal(lease(0).length, 1)
  assert.equal(lease(5 * minuteMs).length, 1)
})

test('a start with the clock behind the newest event moves what waits, and says by how much', t => {
  const first = open(t)
  add(first, beforeMs + 5 * minuteMs)
  const queue = first.reopen(beforeMs - dayMs)
  assert.equal(queue.writer.clockBehindMs, dayMs)
  assert.deepEqual(queue.waits(), [-dayMs + 5 * minuteMs])
  assert.equal(queue.reopen(beforeMs - dayMs + 1000).waits().length, 1)
})

/** When they expire, in minutes after `beforeMs`, by key. */
function expiries({ writer }: Queue): Map<number, number> {
  const leased = writer.transaction(() => writer.lease(100, beforeMs + 1000 * yearMs))
  return new Map(leased.map(({ key, expiresAtMs }) => [key, (expiresAtMs - beforeMs) / minuteMs]))
}

test('a clock that goes wrong and is set right again leaves expiries as they were, whichever way it went first', t => {
  for (const byMs of [-yearMs, yearMs]) {
    const queue = open(t)
    const key = add(queue, beforeMs + minuteMs, beforeMs - 30 * minuteMs)
    for (let times = 0; times < 3; times++) {
      const fromMs = beforeMs + times * minuteMs
      jump(queue, byMs, fromMs)
      jump(queue, -byMs, fromMs + byMs)
    }
    assert.equal(expiries(queue).get(key), 30)
  }
})

test('what was accepted while the clock was back lives on when it is set right, also what came before anybody noticed', t => {
  const queue = open(t)
  const old = add(queue, beforeMs + minuteMs)
  const between = add(queue, beforeMs + minuteMs, beforeMs - yearMs + 500)
  const one = { beforeMs, nowMs: beforeMs - yearMs + 1000, byMs: -yearMs }
  queue.writer.transaction(() => queue.writer.clockJumped(one, 0))
  const later = add(queue, beforeMs + minuteMs, beforeMs - yearMs + minuteMs)
  jump(queue, yearMs, beforeMs - yearMs + 2 * minuteMs)
  const lives = expiries(queue)
  assert.deepEqual([lives.get(old), lives.get(later)], [60, 61])
  assert.ok(Math.abs(lives.get(between)! - 60) < 1)
})

test('a start with the clock back is made up for when it is set right, however often there was one', t => {
  let queue = open(t)
  const key = add(queue, beforeMs + minuteMs)
  const atMs = beforeMs - 26 * yearMs
  // A boot without a battery, ended twice before the time service came; then all of it again.
  for (let boots = 0; boots < 2; boots++) {
    for (let starts = 0; starts < 3; starts++) queue = queue.reopen(atMs + starts * minuteMs)
    jump(queue, 26 * yearMs, atMs + (3 + boots) * minuteMs)
  }
  jump(queue, 2 * dayMs, beforeMs + 10 * minuteMs)
  // The clock is not behind by what passed until a start found it, nor does anything expire early.
  const minutes = expiries(queue).get(key)! - (2 * dayMs) / minuteMs
  assert.ok(minutes >= 60 && minutes <= 65, `${minutes}`)
})

test('a jump back that was undone while nobody ran takes nothing off the next one ahead, also when it came back', t => {
  let queue = open(t)
  const key = add(queue, beforeMs + minuteMs)
  for (let boots = 0; boots < 2; boots++) {
    queue = queue.reopen(beforeMs - 26 * yearMs).reopen(beforeMs - 26 * yearMs + minuteMs)
    queue = queue.reopen(beforeMs + minuteMs).reopen(beforeMs + 2 * minuteMs)
  }
  jump(queue, 2 * dayMs, beforeMs + 3 * minuteMs)
  assert.equal(expiries(queue).get(key)! - (2 * dayMs) / minuteMs, 60)
})

test('a start with the clock still back, after something happened, does not take the jump back for undone', t => {
  let queue = open(t)
  const old = add(queue, beforeMs + minuteMs)
  const atMs = beforeMs - 26 * yearMs
  queue = queue.reopen(atMs)
  const fresh = add(queue, atMs + minuteMs, atMs + minuteMs)
  queue = queue.reopen(atMs + 2 * minuteMs)
  jump(queue, 26 * yearMs, atMs + 3 * minuteMs)
  queue = queue.reopen(beforeMs + 4 * minuteMs)
  const lives = expiries(queue)
  assert.deepEqual([lives.get(old), lives.get(fresh)], [60, 61])
})

test('of more jumps than are remembered no message lives shorter, and not longer by more than one of them', t => {
  const queue = open(t)
  const keys = [add(queue, beforeMs + minuteMs)]
  for (let times = 1; times <= 60; times++) {
    jump(queue, -dayMs, beforeMs + times * minuteMs)
    keys.push(add(queue, beforeMs + minuteMs, beforeMs - dayMs + times * minuteMs))
    jump(queue, dayMs, beforeMs - dayMs + times * minuteMs)
  }
  const lives = expiries(queue)
  const first = lives.get(keys[0]!)!
  assert.ok(first >= 60 && first <= 60 + dayMs / minuteMs, `${first}`)
  for (let times = 1; times <= 60; times++) {
    const life = lives.get(keys[times]!)
    if (life !== undefined) assert.ok(life >= 60 + times && life <= 60 + times + dayMs / minuteMs, `${life}`)
  }
})
