// What goes again without an attempt being counted does so a bounded number of times.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const plan = planOf('b.test', ['mx.b.test', '127.0.0.2'])

test('a host that takes some recipients, finds the rest too many and drops the connection is asked few times', async () => {
  let datas = 0
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onRcpt: (_, count) => (count > 50 ? '452 4.5.3 too many recipients' : '250 ok'),
    // Without an end the test would not end: then it takes all.
    onData: () => (++datas < 200 ? 'drop' : '354 go'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(Array.from({ length: 100 }, (_, index) => `to${index}@b.test`))
  await harness.settledCount(100)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'deferred'))
  assert.ok(mx.connections <= 4, `${mx.connections} connections`)
  await harness.close()
})

test('so it is when the host has answered something on each of its connections', async () => {
  let datas = 0
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onRcpt: (path, count) =>
      count > 2 ? '452 4.5.3 too many recipients' : path.startsWith('no') ? '550 5.1.1 no' : '250 ok',
    onData: () => (++datas < 200 ? 'drop' : '354 go'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  const paths = Array.from({ length: 20 }, (_, index) => [`no${index}@b.test`, `to${index}@b.test`])
  harness.send(paths.flat())
  await harness.settledCount(40)
  assert.ok(mx.connections <= 4, `${mx.connections} connections`)
  await harness.close()
})

test('a host that closes while the content is read is no better than one that cannot be reached', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2' })
  let reads = 0
  const content = {
    readPrefix: () => Buffer.alloc(0),
    readContent: async () => {
      // Without an end the test would not end: then it may stay.
      if (++reads < 200) await mx.closeAll()
      await new Promise(resolve => setTimeout(resolve, 5))
      return Buffer.from('Subject: stored\r\n\r\n')
    },
    openContent: () => {
      throw new Error('it is small')
    },
  }
  const harness = new Harness(mx.port, {}, { content })
  harness.plans.set('b.test', plan)
  harness.send(['to@b.test'], { isStored: true })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  assert.ok(mx.connections <= 4, `${mx.connections} connections`)
  await harness.close()
})

test('a host that took a message of which some recipients were refused here has answered: a lost connection is not held against it', async () => {
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onMail: number => (number === 2 && mx.connections === 1 ? 'drop' : '250 ok'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['ü@b.test', 'to@b.test'], { isSmtpUtf8: true })
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['to@b.test delivered', 'ü@b.test bounced'])
  harness.send(['next@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds().slice(0, 1), ['next@b.test delivered'])
  assert.equal(mx.connections, 2)
  await harness.close()
})
