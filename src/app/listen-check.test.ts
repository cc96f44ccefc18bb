import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needsMachine } from '../../test/support/needs-machine.ts'
import { checkAddresses, settlePort, takeTurn } from './listen-check.ts'

const isLinux = process.platform === 'linux'
const anyPort = { host: '127.0.0.1', port: 0 }

test('an address that somebody holds is a problem, and one that is only being checked is none', async () => {
  const address = await settlePort(anyPort)
  const holder = net.createServer().listen(address.port, address.host)
  await once(holder, 'listening')
  assert.match((await checkAddresses([address]))[0]?.what ?? '', /another program listens/)
  const checked = checkAddresses([address])
  await new Promise(resolve => holder.close(resolve))
  assert.deepEqual(await checked, [])
})

test(
  'who opens doors waits until the one before is done',
  needsMachine(isLinux, 'abstract sockets'),
  async () => {
    let isDone = false
    const first = await takeTurn()
    const second = takeTurn().then(async turn => {
      assert.ok(isDone)
      await turn[Symbol.asyncDispose]()
    })
    await sleep(100)
    isDone = true
    await first[Symbol.asyncDispose]()
    await second
  },
)
