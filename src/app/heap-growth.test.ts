import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const module = new URL('heap-growth.ts', import.meta.url).href

/**
 * A worker as a relay thread is one: 50 MB stay alive, and as much again lives a while and dies, over and over. Prints the
 * most that its heap has taken, in MiB.
 */
const worker = `
  import v8 from 'node:v8'
  const make = () => Array.from({ length: 1000 }, (_, index) => ({ index, text: new Array(60).fill(index) }))
  const live = Array.from({ length: 100 }, make)
  const waiting = []
  let most = 0
  for (let turn = 0; turn < 1200; turn++) {
    waiting.push(make())
    if (waiting.length > 40) waiting.shift()
    most = Math.max(most, v8.getHeapStatistics().total_heap_size)
  }
  console.log(live.length > 0 ? (most / 2 ** 20).toFixed(0) : '')
`

async function mostMib(prelude: string): Promise<number> {
  const main = `${prelude}
    const { Worker } = await import('node:worker_threads')
    new Worker(${JSON.stringify(worker)}, {
      eval: true,
      resourceLimits: { maxYoungGenerationSizeMb: 32, maxOldGenerationSizeMb: 2048 },
    })`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', main])
  assert.equal(stderr, '')
  return Number(stdout)
}

test('heaps of threads grow by little between collections, and V8 still knows how to be told so', async () => {
  const unbound = await mostMib('')
  const bound = await mostMib(`(await import(${JSON.stringify(module)})).boundHeapGrowth()`)
  assert.ok(bound < unbound * 0.85, `${bound} MiB, without the bound ${unbound} MiB`)
})
