// Random histories of the queue against a model: whatever happens in whatever order, crashes included, no recipient is
// lost and none is owned twice, and each row says what it should.
//
// MODEL_RUNS=1000 makes more histories than an ordinary test run; fast-check prints seed and path of one that fails.

import { suite, test } from 'node:test'
import fc from 'fast-check'
import { QueueModel } from './queue-model.ts'
import { queueSteps } from './queue-steps.ts'
import { type StartStore, TestStore } from './support.ts'

const numRuns = Number(process.env['MODEL_RUNS'] ?? 25)

/** Registers the property under the implementation's name. */
export function queueModelSuite(name: string, start: StartStore, crashesInFlight: boolean): void {
  suite(`queue histories, ${name}`, () => {
    test('in no history is a recipient lost, owned twice, leased before its time, or shown wrongly', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(queueSteps, { minLength: 10, maxLength: 60 }), async history => {
          await using opened = await TestStore.open(start)
          const model = new QueueModel(opened, crashesInFlight)
          for (const step of history) {
            await model.take(step)
            if (step.do === 'crash' || step.do === 'restart') await model.check()
          }
          await model.check()
        }),
        { numRuns },
      )
    })
  })
}
