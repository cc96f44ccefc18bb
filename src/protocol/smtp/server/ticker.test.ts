// The shared clock: what has come is read before anybody looks at deadlines.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { startTicker } from './ticker.ts'

const intervalMs = 100

test('after a pause of the process, what came meanwhile is read before deadlines are looked at', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [peer] = (await once(server, 'connection')) as [Socket]
  await once(client, 'ready')
  const seen: string[] = []
  client.on('data', () => seen.push('read'))
  {
    using ticker = startTicker({ intervalMs })
    const ticked = new Promise<void>(resolve => {
      ticker.add({
        tick: () => {
          seen.push('tick')
          resolve()
        },
      })
    })
    peer.write('250 taken\r\n')
    // The whole thread stands still, as in a frozen container.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * intervalMs)
    await ticked
  }
  assert.deepEqual(seen, ['read', 'tick'])
  client.destroy()
  server.close()
})

test('nobody is ticked any more once it is stopped, not even for the second that is just over', async () => {
  let ticks = 0
  const ticker = startTicker({ intervalMs: 1 })
  ticker.add({ tick: () => ticks++ })
  await new Promise(resolve => setTimeout(resolve, 20))
  assert.ok(ticks > 0)
  ticker[Symbol.dispose]()
  const before = ticks
  await new Promise(resolve => setTimeout(resolve, 20))
  assert.equal(ticks, before)
})
