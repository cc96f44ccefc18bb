import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Distribution, groupBounds, latencyBounds } from '../base/index.ts'
import type { ThreadStore } from '../store/index.ts'
import { Metrics, mergeMetrics } from '../telemetry/index.ts'
import { CommitNotes } from './commit-notes.ts'

type Facts = Awaited<ReturnType<ThreadStore['commitFacts']>>

/** As the store counts commits: of each its seconds and its operations. */
function factsOf(commits: readonly (readonly [number, number])[], failed: number): Facts {
  const seconds = new Distribution(latencyBounds)
  const operations = new Distribution(groupBounds)
  for (const [took, shared] of commits) {
    seconds.observe(took)
    operations.observe(shared)
  }
  return { seconds: seconds.counted(), operations: operations.counted(), failed }
}

test('a store that does not answer holds up no scrape, and what it tells later is in the next one, once', async () => {
  const questions: PromiseWithResolvers<Facts>[] = []
  const ask = (): Promise<Facts> => {
    const question = Promise.withResolvers<Facts>()
    questions.push(question)
    return question.promise
  }
  const metrics = new Metrics()
  const notes = new CommitNotes(ask, metrics, 20)
  await notes.note()
  await notes.note()
  assert.equal(questions.length, 1, 'one question at a time')
  const text = () => mergeMetrics([metrics.collect()])
  assert.match(await text(), /^postrider_store_commit_seconds_count 0$/m)
  const slow = [
    [0.004, 1],
    [11, 8],
  ] as const
  questions[0]!.resolve(factsOf(slow, 2))
  await notes.note()
  assert.match(await text(), /^postrider_store_commit_seconds_count 2$/m)
  assert.match(await text(), /^postrider_store_commit_operations_sum 9$/m)
  assert.match(await text(), /^postrider_commits_failed_total 2$/m)
  const next = notes.note()
  questions[1]!.resolve(factsOf([...slow, [0.004, 1]], 2))
  await next
  assert.match(await text(), /^postrider_store_commit_seconds_count 3$/m)
  assert.match(await text(), /^postrider_store_commit_seconds_bucket\{le="0.005"\} 2$/m)
  assert.match(await text(), /^postrider_store_commit_operations_sum 10$/m)
})

test('what fails after the patience is over ends nothing, and the next scrape asks again', async () => {
  let asked = 0
  const late = Promise.withResolvers<Facts>()
  const facts = factsOf([[0.001, 1]], 0)
  const metrics = new Metrics()
  const notes = new CommitNotes(() => (asked++ === 0 ? late.promise : Promise.resolve(facts)), metrics, 20)
  await notes.note()
  late.reject(new Error('the store is closed'))
  await assert.rejects(notes.note(), /closed/)
  await notes.note()
  assert.equal(asked, 2)
})
