import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { backup, openThreadStore, startStoreInProcess } from '../../src/store/index.ts'
import { startMs } from './support.ts'

/** Runs the child until it has acknowledged `count` messages, kills it at once. @returns the acknowledged ids. */
async function killAfter(dataDir: string, count: number): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'store-crash-child.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', chunk => {
    printed += chunk
    if (printed.length >= count * 33) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return printed.split('\n').slice(0, -1)
}

/** Every id that the store still holds, with its content readable. */
async function idsIn(dataDir: string): Promise<Set<string>> {
  await using host = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
  await using line = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => startMs })
  const ids = new Set<string>()
  for (;;) {
    const leased = await line.queue.lease({ recipientsMax: 1000, nowMs: startMs })
    if (leased.length === 0) return ids
    for (const message of leased) {
      const content = await line.queue.readContent(message.key, message.content)
      assert.equal(content?.length, message.content.sizeBytes)
      ids.add(message.id.toString('hex'))
    }
  }
}

test('after kill -9 at any moment every acknowledged message is there, its content whole', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'postrider-crash-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const acknowledged: string[] = []
  for (const count of [1, 7, 40, 90, 200, 350]) {
    acknowledged.push(...(await killAfter(dataDir, count)))
    // A write torn by the crash at the end of the log does not matter either.
    if (count === 40) appendFileSync(join(dataDir, 'postrider.db-wal'), Buffer.alloc(3000, 7))
    const found = await idsIn(dataDir)
    for (const id of acknowledged) assert.ok(found.has(id), `${id} is lost`)
  }
  assert.ok(acknowledged.length >= 688)
})

test('a killed server’s data folder can be backed up as it lies there', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-crash-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const acknowledged = await killAfter(join(dir, 'data'), 50)
  const manifest = backup({ dataDir: join(dir, 'data'), target: join(dir, 'copy'), nowMs: startMs })
  assert.ok(manifest.messages >= acknowledged.length)
})
