// Controls of the siege: with a server that serves nobody, serves too slowly or takes too much memory it must fail, or it
// shows nothing of those that pass.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasProc } from '../../support/memory-peak.ts'
import { needsMachine } from '../../support/needs-machine.ts'
import { manyAddresses, rawConnection, Siege } from './siege.ts'

let siege: Siege
before(async () => {
  siege = await Siege.open()
})
after(() => siege[Symbol.asyncDispose]())

/** The whole server stands still for so long. */
async function stopped(ms: number): Promise<void> {
  siege.house.server.signal('SIGSTOP')
  await sleep(ms)
  siege.house.server.signal('SIGCONT')
}

test('a server that stands still while the attack runs and serves everybody afterwards has served nobody', async () => {
  await assert.rejects(
    siege.during(() => stopped(2500), 1000),
    /no ordinary message arrived before the attack was over/,
  )
})

test('a server that stands still for a while in an attack is too slow, however many it serves', async () => {
  const attack = async (): Promise<void> => {
    await sleep(1000)
    await stopped(3000)
    await sleep(1000)
  }
  await assert.rejects(siege.during(attack, 1000, 1000), /an ordinary message took over 1000 ms/)
})

test('a server that takes more memory than it may is seen', needsMachine(hasProc, '/proc'), async () => {
  const connections = 300
  const attack = async (): Promise<void> => {
    const sockets = await Promise.all(
      Array.from({ length: connections }, (_, index) =>
        rawConnection(siege.house.ports.submission, manyAddresses(index)),
      ),
    )
    await sleep(1000)
    for (const socket of sockets) socket.destroy()
  }
  await assert.rejects(siege.during(attack, 0), /memory grew too much/)
})

test('an attack that is over at once is brought again until two seconds are over, beside ordinary mail', async () => {
  let rounds = 0
  const { served } = await siege.during(async () => void rounds++, 200)
  assert.ok(rounds > 5 && rounds <= 21, `${rounds} rounds`)
  assert.ok(served > 0)
})
