import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyTree } from './files.ts'

test('a file that vanishes while its folder is copied is no fault', t => {
  if (process.platform !== 'linux') return
  const dir = mkdtempSync(join(tmpdir(), 'postrider-files-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  // Its list names the descriptor by which it was read itself, and that one is closed by then; the others are links.
  copyTree('/proc/self/fd', join(dir, 'copy'), () => true, dir)
  assert.deepEqual(readdirSync(join(dir, 'copy')), [])
})
