import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolderDurably, writeFileDurably } from './durable-files.ts'

// That names and bytes survive a power cut is shown by test/crash; here is what can be seen without one.

function scratch(t: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-durable-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('a folder is made with those above it, for its owner only, and making it again is no error', t => {
  const path = join(scratch(t), 'a', 'b', 'c')
  makeFolderDurably(path)
  makeFolderDurably(path)
  assert.equal(statSync(path).mode & 0o777, 0o700)
})

test('a file is replaced as a whole, and what an earlier write left unfinished is no obstacle', t => {
  const folder = scratch(t)
  const path = join(folder, 'key')
  writeFileSync(`${path}.new`, 'half', { mode: 0o666 })
  writeFileDurably(path, 'first', 0o600)
  writeFileDurably(path, Buffer.from('second'), 0o600)
  assert.equal(readFileSync(path, 'utf8'), 'second')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(folder), ['key'])
})
