import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LeasedMessage } from '../message.ts'
import type { ReadyBatch } from './batch.ts'
import { Fifo } from './fifo.ts'
import { ReadyQueue } from './ready-queue.ts'
import { Room } from './room.ts'

let nextKey = 1

function batch(options: { account?: number; stream?: number; priority?: number } = {}): ReadyBatch {
  const message: LeasedMessage = {
    id: Buffer.alloc(16),
    key: nextKey++,
    accountKey: options.account ?? 1,
    streamKey: options.stream ?? 1,
    reversePath: 'a@example.test',
    sentReversePath: 'a@example.test',
    isEightBit: false,
    isSmtpUtf8: false,
    ret: '',
    envelopeId: '',
    acceptedAtMs: 0,
    expiresAtMs: 1,
    priority: options.priority ?? 5,
    sendsDsn: false,
    prefix: Buffer.alloc(0),
    sizeBytes: 0,
    content: { kind: 'inline', sizeBytes: 0 },
    recipients: [],
    recipientCount: 1,
  }
  return { message, recipients: [], content: null, reruns: 0 }
}

function taken(queue: ReadyQueue): ReadyBatch[] {
  return queue.drain()
}

test('one sender gets its batches out in the order of their arrival', () => {
  const queue = new ReadyQueue()
  const batches = Array.from({ length: 3000 }, () => batch())
  for (const one of batches) queue.push(one)
  assert.deepEqual(taken(queue), batches)
  assert.equal(queue.size, 0)
})

test('the batches of a sender keep their order when others come among them', () => {
  for (let count = 1; count < 40; count++) {
    const queue = new ReadyQueue()
    const own = Array.from({ length: count }, () => batch())
    for (const one of own) queue.push(one)
    queue.putBack(queue.shift()!)
    const others = [batch({ account: 2 }), batch({ priority: 9 })]
    for (const one of others) queue.push(one)
    const shown: ReadyBatch[] = []
    queue.each(one => shown.push(one))
    const order = taken(queue)
    assert.equal(order.length, count + 2)
    assert.equal(shown.length, count + 2, 'all of them are shown, each once')
    assert.deepEqual(new Set(shown), new Set(order))
    assert.deepEqual(
      order.filter(one => !others.includes(one)),
      own,
    )
  }
})

test('a sender with one batch waits for at most one batch of each other sender', () => {
  const queue = new ReadyQueue()
  for (let i = 0; i < 500; i++) queue.push(batch({ account: 1 }))
  for (let i = 0; i < 500; i++) queue.push(batch({ account: 1, stream: 2 }))
  const small = batch({ account: 2 })
  queue.push(small)
  assert.ok(taken(queue).indexOf(small) <= 2)
})

test('an urgent batch overtakes those that wait', () => {
  const queue = new ReadyQueue()
  for (let i = 0; i < 100; i++) queue.push(batch({ priority: 5 }))
  const urgent = batch({ priority: 0 })
  queue.push(urgent)
  assert.equal(queue.shift(), urgent)
})

test('a stream of urgent mail does not starve the other lanes', () => {
  const queue = new ReadyQueue()
  const patient = [batch({ priority: 5 }), batch({ priority: 9 })]
  for (const one of patient) queue.push(one)
  const seen: (ReadyBatch | undefined)[] = []
  for (let i = 0; i < 40; i++) {
    queue.push(batch({ priority: 0 }))
    seen.push(queue.shift())
  }
  for (const one of patient) assert.ok(seen.includes(one))
})

test('a batch that is put back is the next of its sender', () => {
  const queue = new ReadyQueue()
  for (let i = 0; i < 5; i++) queue.push(batch())
  const first = queue.shift()!
  queue.putBack(first)
  assert.equal(queue.shift(), first)
})

test('whatever is pushed, taken and put back: each batch is in the queue exactly once', () => {
  const step = fc.record({
    act: fc.constantFrom('push', 'push', 'shift', 'putBack'),
    account: fc.integer({ min: 1, max: 3 }),
    priority: fc.integer({ min: -1, max: 12 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const queue = new ReadyQueue()
      const inside = new Set<ReadyBatch>()
      let last: ReadyBatch | undefined
      for (const { act, account, priority } of steps) {
        if (act === 'push') {
          const one = batch({ account, priority })
          queue.push(one)
          inside.add(one)
        } else if (act === 'shift') {
          last = queue.shift()
          assert.equal(last === undefined, inside.size === 0)
          if (last !== undefined) assert.ok(inside.delete(last))
        } else if (last !== undefined && !inside.has(last)) {
          queue.putBack(last)
          inside.add(last)
        }
        assert.equal(queue.size, inside.size)
      }
      const rest = queue.drain()
      assert.equal(rest.length, inside.size)
      assert.deepEqual(new Set(rest), inside)
    }),
  )
})

test('a queue agrees with an array whatever goes in and out of it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer(), fc.constant('shift'), fc.constant('unshift'))), steps => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      for (const one of steps) {
        if (one === 'shift') assert.equal(fifo.shift(), model.shift())
        else if (one === 'unshift') {
          fifo.unshift(-1)
          model.unshift(-1)
        } else {
          fifo.push(one as number)
          model.push(one as number)
        }
        assert.equal(fifo.size, model.length)
        assert.equal(fifo.peek(), model[0])
      }
    }),
  )
})

test('there is no room once recipients or bytes are used up, and again when they are let go', () => {
  const room = new Room({ recipientsMax: 10, contentBytesMax: 100, changedBytesMax: 100 })
  assert.ok(room.fits(1, 8, 80))
  assert.ok(!room.fits(1, 11, 0) && !room.fits(1, 1, 101))
  room.take(1, 4, 100)
  assert.equal(room.freeRecipients, 0)
  room.release(1, 0, 100)
  assert.equal(room.freeRecipients, 6)
})

test('an account may have four times what is free, so that there is always room for the next one', () => {
  const room = new Room({ recipientsMax: 1000, contentBytesMax: 1000, changedBytesMax: 1 })
  const fill = (account: number): number => {
    let taken = 0
    while (room.fits(account, 1, 1)) {
      room.take(account, 1, 1)
      taken++
    }
    return taken
  }
  assert.deepEqual([1, 2, 3, 4].map(fill), [800, 160, 32, 6])
  assert.ok(room.fits(5, 1, 1))
  assert.equal(room.leaseShares(100).less.get(1), 0)
  room.release(1, 400, 400)
  assert.ok(room.fits(2, 100, 100), 'who had to stop may have more when another has less')
})

test('who has nothing gets the very last place', () => {
  const room = new Room({ recipientsMax: 1, contentBytesMax: 100, changedBytesMax: 1 })
  assert.equal(room.leaseShares(1).each, 1)
  assert.ok(room.fits(1, 1, 10))
})
