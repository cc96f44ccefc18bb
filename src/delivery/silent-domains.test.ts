// Plans that do not come: who waits for them, and for how long.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlanResult, ResolveFailure } from './resolve/index.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const address = '127.0.0.2'
const dayMs = 86_400_000
const silence = new Promise<never>(() => {})

function failure(domain: string, reason: 'dns-failure' | 'null-mx'): ResolveFailure {
  const isPermanent = reason === 'null-mx'
  const codes = isPermanent ? { code: 556, enhancedCode: '5.1.10' } : { code: 451, enhancedCode: '4.4.3' }
  const where = { stage: 'resolve', scope: 'domain', text: `${reason} of ${domain}`, ttlMs: 5_000 } as const
  return { kind: 'failure', reason, isPermanent, ...codes, ...where, domain }
}

/** An engine whose DNS answers as `answers` says, with plans that live for ten seconds, and is silent for the rest. */
function stage(port: number) {
  const answers = new Map<string, PlanResult>()
  const asked: string[] = []
  const plan = (domain: string): Promise<PlanResult> => {
    asked.push(domain)
    const answer = answers.get(domain)
    return answer === undefined ? silence : Promise.resolve(answer)
  }
  const unknown = () => undefined
  const planner = { plan, planSmarthost: plan, cached: unknown, cachedSmarthost: unknown }
  const harness = new Harness(port, { retry: { intervalsMs: [3_600_000] } }, { planner })
  const known = (domain: string) =>
    answers.set(domain, { ...planOf(domain, ['mx.test', address]), ttlMs: 10_000 })
  return { harness, answers, asked, known }
}

/** Lets what can go on go on. */
async function breathe(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve))
}

test('two thousand silent domains of one account keep neither another account nor a known domain waiting', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known, asked } = stage(mx.port)
  known('known.test')
  known('new.test')
  harness.send(['first@known.test'])
  await harness.settledCount(1)
  harness.advance(10_001)
  for (let i = 0; i < 2_000; i++) harness.send([`to@silent${i}.test`])
  harness.send(['second@known.test'])
  harness.send(['to@new.test'], { accountKey: 2 })
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['first@known.test delivered', 'to@new.test delivered'])
  harness.advance(2_000)
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds()[1], 'second@known.test delivered')
  assert.deepEqual(
    asked.filter(domain => domain === 'known.test').length,
    1,
    'the new plan still waits its turn',
  )
  await harness.close()
})

test('retries to silent domains do not keep a first attempt of the same account waiting', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known } = stage(mx.port)
  known('new.test')
  for (let i = 0; i < 2_000; i++) harness.send([{ forwardPath: `to@silent${i}.test`, attempts: 3 }])
  harness.send(['to@new.test'])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@new.test delivered'])
  await harness.close()
})

test('a domain that waits in the line of one account is asked for at once when another one wants it', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known } = stage(mx.port)
  known('both.test')
  for (let i = 0; i < 2_000; i++) harness.send([`to@silent${i}.test`])
  harness.send(['one@both.test'])
  await breathe()
  assert.equal(harness.settled.length, 0)
  harness.send(['two@both.test'], { accountKey: 2 })
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['one@both.test delivered', 'two@both.test delivered'])
  await harness.close()
})

test('a domain is asked for on account of who had the place for it', async () => {
  const askers: string[] = []
  const plan = (domain: string, { asker }: { readonly asker?: number }): Promise<PlanResult> => {
    askers.push(`${domain} ${asker}`)
    return silence
  }
  const unknown = () => undefined
  const planSmarthost = () => silence
  const planner = { plan, planSmarthost, cached: unknown, cachedSmarthost: unknown }
  const harness = new Harness(25, {}, { planner })
  for (let i = 0; i < 80; i++) harness.send([`to@silent${i}.test`])
  harness.send(['one@both.test'])
  harness.send(['two@both.test'], { accountKey: 2 })
  await breathe()
  assert.equal(askers.length, 81)
  assert.deepEqual(askers.slice(79), ['silent79.test 1', 'both.test 2'])
  await harness.close()
})

test('places that become free go to the accounts in turn', async () => {
  await using mx = await startReceiver({ address })
  const asked: string[] = []
  const waiting: (() => void)[] = []
  const plan = async (domain: string): Promise<PlanResult> => {
    asked.push(domain)
    await new Promise<void>(go => waiting.push(go))
    return failure(domain, 'dns-failure')
  }
  const unknown = () => undefined
  const planner = { plan, planSmarthost: plan, cached: unknown, cachedSmarthost: unknown }
  const harness = new Harness(mx.port, {}, { planner })
  for (let i = 0; i < 300; i++)
    for (const account of [1, 2]) harness.send([`to@d${i}.a${account}.test`], { accountKey: account })
  await breathe()
  assert.equal(asked.length, 120)
  harness.send(['to@d0.a3.test'], { accountKey: 3 })
  for (let i = 0; i < 3; i++) waiting.shift()!()
  await breathe()
  const accounts = asked.slice(120).map(domain => domain.split('.')[1])
  assert.deepEqual(accounts.sort(), ['a1', 'a2', 'a3'])
  await harness.close()
})

test('an old plan serves while DNS fails, for a day; then the mail is deferred', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known, answers, asked } = stage(mx.port)
  known('b.test')
  harness.send(['1@b.test'])
  await harness.settledCount(1)
  answers.set('b.test', failure('b.test', 'dns-failure'))
  harness.advance(10_001)
  harness.send(['2@b.test'])
  await harness.settledCount(2)
  harness.send(['3@b.test'])
  await harness.settledCount(3)
  assert.equal(asked.length, 2, 'DNS is not asked again for half a minute')
  harness.advance(dayMs)
  harness.send(['4@b.test'])
  await harness.settledCount(4)
  assert.deepEqual(harness.kinds(), [
    '1@b.test delivered',
    '2@b.test delivered',
    '3@b.test delivered',
    '4@b.test deferred',
  ])
  await harness.close()
})

test('an answer ends the old plan, also one that forbids: nobody is asked who may not be', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known, answers } = stage(mx.port)
  known('b.test')
  harness.send(['1@b.test'])
  await harness.settledCount(1)
  answers.set('b.test', failure('b.test', 'null-mx'))
  harness.advance(10_001)
  harness.send(['2@b.test'])
  await harness.settledCount(2)
  assert.equal(mx.messages.length, 1)
  answers.set('b.test', failure('b.test', 'dns-failure'))
  harness.advance(10_001)
  harness.send(['3@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['1@b.test delivered', '2@b.test bounced', '3@b.test deferred'])
  await harness.close()
})

test('after a reload no old plan serves: it may not be allowed any more', async () => {
  await using mx = await startReceiver({ address })
  const { harness, known, answers } = stage(mx.port)
  known('b.test')
  harness.send(['1@b.test'])
  await harness.settledCount(1)
  answers.set('b.test', failure('b.test', 'dns-failure'))
  harness.reload()
  harness.send(['2@b.test'])
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['1@b.test delivered', '2@b.test deferred'])
  await harness.close()
})
