import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

test('recall gives back what waits and leaves what is in an attempt', async () => {
  let release = () => {}
  const held = new Promise<void>(resolve => (release = resolve))
  await using mx = await startReceiver({
    onEnd: async () => {
      await held
      return '250 2.0.0 ok'
    },
  })
  const harness = new Harness(mx.port, { connectionsPerSite: 1, transactionsPerConnection: 1 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 10; i++) harness.send([`to${i}@b.test`, `copy${i}@b.test`])
  await harness.until(() => mx.commands.some(line => line.startsWith('DATA')) || pollSoon(harness))
  const back = await harness.engine.recall()
  assert.equal(back.length, 18)
  assert.ok(back.every(one => one.reason === 'first-attempt' && one.nextAttemptAtMs === harness.nowMs))
  release()
  await harness.settledCount(2)
  assert.equal(harness.room.recipients, 0)
  assert.equal(harness.room.contentBytes, 0)
  await harness.close()
})

test('what waits for its plans is given back, also of a message with more domains than are remembered', async () => {
  const never = () => new Promise<never>(() => {})
  const unknown = () => undefined
  const planner = { plan: never, planSmarthost: never, cached: unknown, cachedSmarthost: unknown }
  const harness = new Harness(1, {}, { planner })
  const count = 20_001
  harness.send(Array.from({ length: count }, (_, index) => `to@d${index}.test`))
  const back = await harness.engine.recall()
  assert.equal(back.length, count)
  assert.equal(harness.room.recipients, 0)
})

function pollSoon(harness: Harness): boolean {
  setImmediate(() => harness.poke())
  return false
}

test('draining lets attempts end, gives back the rest, and takes nothing more', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { connectionsPerSite: 2 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 200; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(1)
  await harness.engine.drain(AbortSignal.timeout(5_000))
  assert.equal(harness.givenBack.length + harness.settled.length, 200)
  assert.equal(harness.engine.roomRecipients(), 0)
  assert.equal(harness.engine.reserve(1, 1, 1), false)
  const before = harness.givenBack.length
  harness.send(['late@b.test'])
  assert.equal(harness.givenBack.length, before + 1)
  assert.equal(harness.engine.gauges().connections, 0)
})

test('while a drain waits for attempts, what waited and what still comes has gone back already', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ onEnd: () => held })
  const harness = new Harness(mx.port, { connectionsPerSite: 1, transactionsPerConnection: 1 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 10; i++) harness.send([`to${i}@b.test`])
  await harness.until(() => harness.marksWritten > 0 || pollSoon(harness))
  const drained = harness.engine.drain(AbortSignal.timeout(5_000))
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(harness.givenBack.length, 9)
  harness.send(['late@b.test'])
  assert.equal(harness.givenBack.length, 10)
  assert.equal(harness.settled.length, 0)
  release('250 2.0.0 ok')
  await drained
  assert.deepEqual(harness.kinds(), ['to0@b.test delivered'])
  assert.equal(harness.room.recipients, 0)
})

test('at the deadline of a drain connections are cut, and what was sent to its end is uncertain', async () => {
  await using mx = await startReceiver({ onEnd: () => new Promise<never>(() => {}) })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.until(() => harness.marksWritten > 0 || pollSoon(harness))
  await harness.engine.drain(AbortSignal.abort())
  assert.deepEqual(harness.givenBack, [])
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  assert.equal(harness.settled[0]!.facts.outcome.isUncertain, true)
})

test('whatever the peers do and whenever it is recalled or drained: each recipient leaves exactly once', async () => {
  let step = 0
  const odd = () => ++step
  await using mx = await startReceiver({
    keywords: ['PIPELINING', '8BITMIME'],
    onMail: () => (odd() % 13 === 0 ? 'drop' : step % 17 === 0 ? '421 4.3.2 bye' : '250 ok'),
    onRcpt: (_, count) =>
      odd() % 11 === 0 ? '550 5.1.1 no' : count > 4 ? '452 4.5.3 too many recipients' : '250 ok',
    onEnd: () => (odd() % 19 === 0 ? 'drop' : step % 7 === 0 ? '451 4.3.0 later' : '250 ok'),
  })
  const domains = ['a.test', 'b.test', 'dead.test', 'nowhere.test'] as const
  const act = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('send' as const),
        to: fc.array(fc.constantFrom(...domains), { minLength: 1, maxLength: 9 }),
        isStored: fc.boolean(),
        sendsDsn: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('recall' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), async acts => {
      const harness = new Harness(mx.port, { connectionsPerSite: 3, recipientsPerTransaction: 6 })
      harness.plans.set('a.test', planOf('a.test', ['mx.a.test', '127.0.0.1']))
      harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
      harness.plans.set('dead.test', planOf('dead.test', ['mx.dead.test', '127.0.0.9']))
      const expected: string[] = []
      const back: string[] = []
      const note = (gone: readonly { messageKey: number; recipientNumber: number }[]) =>
        back.push(...gone.map(one => `${one.messageKey}.${one.recipientNumber}`))
      for (const one of acts) {
        if (one.kind === 'send') {
          const paths = one.to.map((domain, index) => `r${index}@${domain}`)
          const { key, recipients } = harness.send(paths, { isStored: one.isStored, sendsDsn: one.sendsDsn })
          expected.push(...recipients.map(recipient => `${key}.${recipient.number}`))
        } else if (one.kind === 'recall') note(await harness.engine.recall())
        else if (one.kind === 'advance') harness.advance(6_000)
        else await new Promise(resolve => setImmediate(resolve))
      }
      await harness.engine.drain(AbortSignal.timeout(3_000))
      note(harness.givenBack)
      const settled = harness.settled.map(
        ({ settlement }) => `${settlement.messageKey}.${settlement.recipientNumber}`,
      )
      assert.deepEqual([...settled, ...back].sort(), expected.sort())
      assert.equal(harness.room.recipients, 0)
      assert.equal(harness.room.contentBytes, 0)
      await new Promise(resolve => setImmediate(resolve))
      assert.equal(harness.openMarks.size, 0)
      assert.deepEqual(harness.faults, [])
    }),
    { numRuns: 60 },
  )
})
