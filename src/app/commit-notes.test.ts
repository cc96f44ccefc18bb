import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ThreadStore } from '../store/index.ts'
import { Metrics, mergeMetrics } from '../telemetry/index.ts'
import { CommitNotes } from './commit-notes.ts'

type Facts = Awaited<ReturnType<ThreadStore['commitFacts']>>

test('a store that does not answer holds up no scrape, and what it tells later is in the next one, once', async () => {
  const questions: PromiseWithResolvers<Facts>[] = []
  const take = (): Promise<Facts> => {
    const question = Promise.withResolvers<Facts>()
    questions.push(question)
    return question.promise
  }
  const metrics = new Metrics()
  const notes = new CommitNotes(take, metrics, 20)
  await notes.note()
  await notes.note()
  assert.equal(questions.length, 1, 'one question at a time')
  const text = () => mergeMetrics([metrics.collect()])
  assert.match(await text(), /^postrider_store_commit_seconds_count 0$/m)
  questions[0]!.resolve({ samples: Float64Array.of(4, 1, 11_000, 8), failed: 2 })
  await notes.note()
  assert.match(await text(), /^postrider_store_commit_seconds_count 2$/m)
  assert.match(await text(), /^postrider_store_commit_operations_sum 9$/m)
  assert.match(await text(), /^postrider_commits_failed_total 2$/m)
})

test('what fails after the patience is over ends nothing, and the next scrape asks again', async () => {
  let asked = 0
  const late = Promise.withResolvers<Facts>()
  const facts: Facts = { samples: Float64Array.of(1, 1), failed: 0 }
  const metrics = new Metrics()
  const notes = new CommitNotes(() => (asked++ === 0 ? late.promise : Promise.resolve(facts)), metrics, 20)
  await notes.note()
  late.reject(new Error('the store is closed'))
  await assert.rejects(notes.note(), /closed/)
  await notes.note()
  assert.equal(asked, 2)
})
