import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StoreAnswers } from './store-answers.ts'

/** A store whose answers the test gives, and a clock that moves with each look. */
function stage() {
  const questions: PromiseWithResolvers<void>[] = []
  const told: unknown[] = []
  const clock = { atMs: 0, monotonicMs: () => clock.atMs }
  const ask = (): Promise<void> => {
    const question = Promise.withResolvers<void>()
    questions.push(question)
    return question.promise
  }
  const watch = new StoreAnswers(ask, clock, { event: (name, fields) => void told.push([name, fields]) })
  const look = (): void => {
    watch.look()
    clock.atMs += 5000
  }
  return { questions, told, clock, watch, look, [Symbol.dispose]: () => watch[Symbol.dispose]() }
}

test('a store that stands still is a trouble after ten seconds, told at once and each minute, and so is its end', async () => {
  using store = stage()
  store.look()
  store.questions[0]!.resolve()
  await store.questions[0]!.promise
  store.look()
  store.look()
  assert.equal(store.watch.trouble, null, 'five seconds may be a slow commit')
  store.watch.look()
  const why = 'the store has not answered for 10 s: look at the disk'
  assert.equal(store.watch.trouble, why)
  assert.deepEqual(store.told, [['store.failed', { why }]])
  for (let looks = 0; looks < 12; looks++) {
    store.clock.atMs += 5000
    store.watch.look()
  }
  assert.equal(store.told.length, 2)
  assert.equal(store.questions.length, 2, 'one question at a time')
  store.questions[1]!.resolve()
  await store.questions[1]!.promise
  assert.equal(store.watch.trouble, null)
  assert.deepEqual(store.told.at(-1), ['store.writes-again', { refusedForMs: 70_000 }])
})

test('a pause of the whole process is no silence of the store, and a store that is closed is not told', async () => {
  using store = stage()
  store.look()
  store.clock.atMs += 3_600_000
  store.watch.look()
  assert.equal(store.watch.trouble, null)
  store.questions[0]!.reject(new Error('the store is closed'))
  await assert.rejects(store.questions[0]!.promise)
  assert.deepEqual(store.told, [])
})
