// Random histories of the queue against a model: whatever happens in whatever order, crashes included, no recipient is
// lost and none is owned twice, and each row says what it should.
//
// MODEL_RUNS=1000 makes more histories than an ordinary test run; fast-check prints seed and path of one that fails.

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { QueueModel, rarities } from './queue-model.ts'
import { type QueueStep, queueSteps } from './queue-steps.ts'
import { type StartStore, TestStore } from './support.ts'

/** So many steps have met everything that is rare, in a hundred runs of a hundred. */
const stepsForRarities = 1000

/** By then a history that fails is short enough: to find the shortest one takes very long. */
const shrinkMsMax = 60_000

/** Nothing but a standstill takes a step so long, however busy the machine is. */
const stepMsMax = 300_000

/** Registers the property under the implementation's name. @param runs where MODEL_RUNS says nothing else */
export function queueModelSuite(
  name: string,
  start: StartStore,
  crashesInFlight: boolean,
  runs: number,
): void {
  suite(`queue histories, ${name}`, () => {
    test('in no history is a recipient lost, owned twice, leased before its time, or shown wrongly', async t => {
      const seen = new Set<string>()
      let steps = 0
      const numRuns = Number(process.env['MODEL_RUNS'] ?? runs)
      let failedAtMs: number | null = null
      // Without `size` most would be too short for a mark, a crash and a lease behind it.
      const histories = fc.array(queueSteps, { minLength: 20, maxLength: 80, size: 'max' })
      await fc.assert(
        fc.asyncProperty(histories, async history => {
          fc.pre(failedAtMs === null || performance.now() - failedAtMs < shrinkMsMax)
          try {
            await using opened = await TestStore.open(start)
            const model = new QueueModel(opened, crashesInFlight)
            for (const [index, step] of history.entries())
              await moving(t, `step ${index}, ${step.do}`, take(model, step))
            await moving(t, 'the last check', model.check())
            for (const one of model.seen) seen.add(one)
            steps += history.length
          } catch (error) {
            failedAtMs ??= performance.now()
            throw error
          }
        }),
        { numRuns },
      )
      if (steps > stepsForRarities && crashesInFlight)
        assert.deepEqual(
          rarities.filter(one => !seen.has(one)),
          [],
        )
    })
  })
}

async function take(model: QueueModel, step: QueueStep): Promise<void> {
  await model.take(step)
  if (step.do === 'crash' || step.do === 'restart') await model.check()
}

/** Rejects when it comes to a standstill, and says where at once: the store may not be able to close any more. */
async function moving(t: TestContext, what: string, work: Promise<void>): Promise<void> {
  const standstill = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    t.diagnostic(`standstill in ${what}`)
    standstill.reject(new Error(`standstill in ${what}`))
  }, stepMsMax)
  try {
    await Promise.race([work, standstill.promise])
  } finally {
    clearTimeout(timer)
  }
}
