/** CPU and memory are counted for a process and everything below it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { it } from 'node:test'
import { cpuSeconds, memoryMib } from './process-tree.ts'

it('a tree counts the CPU time of children, also of those that have ended, and the memory of the living', async () => {
  // The inner shell burns CPU and ends; the outer one has waited for it and then stays.
  const burn = 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'
  const child = spawn('sh', ['-c', `sh -c '${burn}'; echo done; read end`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    await once(child.stdout, 'data')
    assert.ok(cpuSeconds([child.pid ?? -1]) > 0.02)
    assert.ok(memoryMib([child.pid ?? -1]) > 0)
    assert.ok(memoryMib([process.pid]) > memoryMib([child.pid ?? -1]))
  } finally {
    child.stdin.end('\n')
    await once(child, 'exit')
  }
})
