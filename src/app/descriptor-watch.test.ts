// The machine's own answer is looked at in test/scenario/no-descriptors.test.ts; here it is a process with a low limit.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

/** Takes all descriptors and gives them back, twice within a minute and once later, with a look each time. */
const script = `
  import { closeSync, openSync } from 'node:fs'
  import { DescriptorWatch } from '${new URL('./descriptor-watch.ts', import.meta.url).href}'
  let nowMs = 1000
  const told = []
  const watch = new DescriptorWatch(
    { nowMs: () => 0, monotonicMs: () => nowMs },
    { event: (name, fields) => told.push([nowMs, name, fields]) },
  )
  const troubles = []
  const look = () => {
    watch.look()
    troubles.push(watch.trouble)
  }
  look()
  for (const [fromMs, toMs] of [[2000, 5000], [6000, 7000], [70_000, 71_000]]) {
    const taken = []
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'))
    } catch {}
    nowMs = fromMs
    look()
    nowMs += 500
    look()
    for (const descriptor of taken) closeSync(descriptor)
    nowMs = toMs
    look()
  }
  watch[Symbol.dispose]()
  console.log(JSON.stringify({ troubles, told }))`

test('want of descriptors is a trouble while it lasts, told at once and not more than once a minute, and so is its end', () => {
  const output = execFileSync(
    'sh',
    ['-c', 'ulimit -n 256 && exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  )
  const { troubles, told } = JSON.parse(output) as { troubles: unknown; told: unknown }
  const none = 'no file descriptor is left (EMFILE): new connections are closed unheard'
  assert.deepEqual(troubles, [null, none, none, null, none, none, null, none, none, null])
  assert.deepEqual(told, [
    [2000, 'descriptors.none-left', { code: 'EMFILE' }],
    [5000, 'descriptors.free-again', { refusedForMs: 3000 }],
    [70_000, 'descriptors.none-left', { code: 'EMFILE' }],
    [71_000, 'descriptors.free-again', { refusedForMs: 1000 }],
  ])
})
