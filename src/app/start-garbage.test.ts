import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const module = new URL('start-garbage.ts', import.meta.url).href

/** As a start does: much is made, some of it lives on. Prints the nursery's MiB and the whole heap's, before and after. */
const program = `
  import v8 from 'node:v8'
  import { collectStartGarbage } from ${JSON.stringify(module)}
  const kept = []
  for (let turn = 0; turn < 400; turn++) {
    const made = Array.from({ length: 1000 }, (_, index) => ({ index, text: new Array(20).fill(index) }))
    if (turn % 20 === 0) kept.push(made)
  }
  const look = () => {
    const nursery = v8.getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
    return [nursery.physical_space_size, v8.getHeapStatistics().total_heap_size].map(bytes => bytes / 2 ** 20)
  }
  const before = look()
  collectStartGarbage()
  console.log(JSON.stringify({ before, after: look(), kept: kept.length, isExposed: typeof gc }))
`

test('the heap of the start shrinks to what is alive, and V8 still knows how to be asked for it', async () => {
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', program])
  assert.equal(stderr, '')
  const { before, after, kept, isExposed } = JSON.parse(stdout) as {
    readonly before: [nurseryMib: number, heapMib: number]
    readonly after: [nurseryMib: number, heapMib: number]
    readonly kept: number
    readonly isExposed: string
  }
  assert.equal(kept, 20)
  assert.equal(isExposed, 'undefined')
  assert.ok(before[0] > 6, `the nursery had ${before[0]} MiB`)
  assert.ok(after[0] < 2.5, `the nursery still has ${after[0]} MiB`)
  assert.ok(after[1] < before[1] - 5, `the heap has ${after[1]} MiB, before ${before[1]}`)
})
