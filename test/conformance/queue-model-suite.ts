// Random histories of the queue against a model: whatever happens in whatever order, crashes included, no recipient is
// lost and none is owned twice, and each row says what it should.
//
// MODEL_RUNS=1000 makes more histories than an ordinary test run; fast-check prints seed and path of one that fails.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { QueueModel, rarities } from './queue-model.ts'
import { queueSteps } from './queue-steps.ts'
import { type StartStore, TestStore } from './support.ts'

/** So many steps have met everything that is rare, in a hundred runs of a hundred. */
const stepsForRarities = 1000

/** By then a history that fails is short enough: to find the shortest one takes very long. */
const runMsMax = 4000

/** Registers the property under the implementation's name. @param runs where MODEL_RUNS says nothing else */
export function queueModelSuite(
  name: string,
  start: StartStore,
  crashesInFlight: boolean,
  runs: number,
): void {
  suite(`queue histories, ${name}`, () => {
    test('in no history is a recipient lost, owned twice, leased before its time, or shown wrongly', async () => {
      const seen = new Set<string>()
      let steps = 0
      const numRuns = Number(process.env['MODEL_RUNS'] ?? runs)
      // Without `size` most would be too short for a mark, a crash and a lease behind it.
      const histories = fc.array(queueSteps, { minLength: 20, maxLength: 80, size: 'max' })
      await fc.assert(
        fc.asyncProperty(histories, async history => {
          await using opened = await TestStore.open(start)
          const model = new QueueModel(opened, crashesInFlight)
          for (const step of history) {
            await model.take(step)
            if (step.do === 'crash' || step.do === 'restart') await model.check()
          }
          await model.check()
          for (const one of model.seen) seen.add(one)
          steps += history.length
        }),
        { numRuns, interruptAfterTimeLimit: numRuns * runMsMax },
      )
      if (steps > stepsForRarities && crashesInFlight)
        assert.deepEqual(
          rarities.filter(one => !seen.has(one)),
          [],
        )
    })
  })
}
