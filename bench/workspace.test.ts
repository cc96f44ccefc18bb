// What a run of the bench leaves behind when it is interrupted: nothing.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

/** Opens a workspace, starts a program that starts another one, writes all three down, and waits. */
const bench = `
  import { spawn } from 'node:child_process'
  import { tmpdir } from 'node:os'
  import { Workspace } from ${JSON.stringify(join(import.meta.dirname, 'workspace.ts'))}
  await using workspace = await Workspace.open(tmpdir())
  const child = spawn('sh', ['-c', 'sleep 600 & echo $!; while :; do date > "$0/$$"; sleep 0.01; done', workspace.path])
  child.stdout.once('data', grandchild => console.log([workspace.path, child.pid, Number(grandchild)].join(' ')))
  await new Promise(resolve => child.once('exit', resolve))
`

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('an interrupted bench removes its folder and ends what it started, and its exit says why', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', bench], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const [path = '', ...pids] = line.toString().trim().split(' ')
  assert.equal(pids.length, 2)
  assert.ok(existsSync(path))
  for (const pid of pids) assert.ok(isAlive(Number(pid)))
  child.kill('SIGINT')
  const [, signal] = await once(child, 'exit')
  assert.equal(signal, 'SIGINT')
  assert.ok(!existsSync(path))
  for (const pid of pids)
    for (let tries = 0; isAlive(Number(pid)); tries++) {
      assert.ok(tries < 500, `${pid} still runs`)
      await delay(20)
    }
})
