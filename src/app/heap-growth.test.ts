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
const objects = `
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

/** The same with contents: 10 MB of buffers wait, the oldest leaves with each that comes. Prints the most that all took. */
const contents = `
  const waiting = []
  let most = 0
  for (let turn = 0; turn < 60_000; turn++) {
    new Array(2000).fill(turn)
    waiting.push({ turn, bytes: Buffer.allocUnsafeSlow(4096) })
    if (waiting.length > 2500) waiting.shift()
    if (turn % 100 === 0) {
      most = Math.max(most, process.memoryUsage().arrayBuffers)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  console.log((most / 2 ** 20).toFixed(0))
`

async function mostMib(worker: string, prelude: string): Promise<number> {
  const main = `${prelude}
    const { Worker } = await import('node:worker_threads')
    new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(worker)})), {
      resourceLimits: { maxYoungGenerationSizeMb: 32, maxOldGenerationSizeMb: 2048 },
    })`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', main])
  assert.equal(stderr, '')
  return Number(stdout)
}

const bounded = `(await import(${JSON.stringify(module)})).boundHeapGrowth()`

test('heaps of threads grow by little between collections, and V8 still knows how to be told so', async () => {
  const unbound = await mostMib(objects, '')
  const bound = await mostMib(objects, bounded)
  assert.ok(bound < unbound * 0.85, `${bound} MiB, without the bound ${unbound} MiB`)
})

test('so does what dead contents hold outside of the heap', async () => {
  const unbound = await mostMib(contents, '')
  const bound = await mostMib(contents, bounded)
  assert.ok(bound < unbound * 0.85, `${bound} MiB, without the bound ${unbound} MiB`)
})
