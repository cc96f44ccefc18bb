import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Hangups } from './hangups.ts'

/** Sends one to this process, and waits until it has come. */
async function hangUp(): Promise<void> {
  const come = once(process, 'SIGHUP')
  process.kill(process.pid, 'SIGHUP')
  await come
}

test('one that comes early is kept, later ones are handed on, and one that comes late ends nothing', async () => {
  const hangups = new Hangups()
  await hangUp()
  await hangUp()
  let count = 0
  {
    using _taker = hangups.handTo(() => count++)
    assert.equal(count, 1)
    await hangUp()
    assert.equal(count, 2)
  }
  await hangUp()
  assert.equal(count, 2)
})
