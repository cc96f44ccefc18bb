// Controls of the watch over event loops: a server that stands still must fail it, also on a machine that is so busy that
// the server waits for a core all the time, or it shows nothing of those that pass.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasProc } from '../../support/memory-peak.ts'
import { needsMachine } from '../../support/needs-machine.ts'
import { delayMetric, heldMsMaxOfMost, LoopWatch } from './loop-watch.ts'

/** More than the bound and all that a machine is believed together. */
const stopMs = 800
/** For so long the server works on other things, before and after. */
const workMs = 1000

let watch: LoopWatch
before(async () => {
  watch = await LoopWatch.open([], [])
})
after(() => watch[Symbol.asyncDispose]())

/** The whole server stands still: all of its loops, and no thread waits for a core. */
async function stopped(): Promise<void> {
  watch.siege.house.server.signal('SIGSTOP')
  await sleep(stopMs)
  watch.siege.house.server.signal('SIGCONT')
}

async function worked(): Promise<void> {
  const endMs = performance.now() + workMs
  while (performance.now() < endMs)
    await Promise.all(Array.from({ length: 4 }, () => watch.siege.sendOrdinary()))
}

test('ordinary mail holds no loop', t => watch.bring(t, worked, heldMsMaxOfMost))

test('a server that stands still is seen, by the watch and in its own metric', async t => {
  const work = async (): Promise<void> => {
    await watch.siege.metric(delayMetric)
    await stopped()
    // The sum of the quantiles of which the last is the longest.
    assert.ok((await watch.siege.metric(delayMetric)) >= (stopMs - 50) / 1000)
  }
  await assert.rejects(watch.bring(t, work, heldMsMaxOfMost), /held a loop: /)
})

test(
  'and also where it waits for a core before and after: only waits of that moment are taken off',
  needsMachine(hasProc, '/proc'),
  async t => {
    const busy: ChildProcess[] = []
    const work = async (): Promise<void> => {
      await worked()
      await stopped()
      await worked()
    }
    try {
      for (let i = 0; i < 3; i++) busy.push(spawn(process.execPath, ['-e', 'for (;;);']))
      await assert.rejects(watch.bring(t, work, heldMsMaxOfMost), error => {
        assert.match(String(error), /held a loop: /)
        t.diagnostic(String(error))
        return true
      })
    } finally {
      for (const one of busy) one.kill('SIGKILL')
    }
  },
)
