import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { ThreadLink } from './thread-link.ts'

test('a call is answered with what the other side gives or throws', async () => {
  const { port1, port2 } = new MessageChannel()
  const link = new ThreadLink(port1, {})
  const other = new ThreadLink(port2, {
    double: (value: number) => value * 2,
    refuse: () => {
      throw new Error('not today')
    },
  })
  assert.equal(await link.call('double', 21), 42)
  await assert.rejects(link.call('refuse'), /not today/)
  await assert.rejects(other.call('nothing'), /no call named nothing/)
  port1.close()
})

test('once the other side is gone, what waits fails, and every later call at once, with the first reason', async () => {
  const { port1, port2 } = new MessageChannel()
  const link = new ThreadLink(port1, {})
  const waiting = link.call('metrics')
  link.fail(new Error('out of memory'))
  link.fail(new Error('the thread ended'))
  await assert.rejects(waiting, /out of memory/)
  await assert.rejects(link.call('metrics'), /out of memory/)
  port2.close()
})
