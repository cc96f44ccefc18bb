// Handing a folder over: all of it, no more than it, and while it changes.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { needsMachine } from '../../test/support/needs-machine.ts'
import { handOver } from './hand-over.ts'

const isRoot = process.getuid?.() === 0
const owner = { userId: 54_321, groupId: 54_322 }
const base = mkdtempSync(join(tmpdir(), 'postrider-hand-over-'))
after(() => rmSync(base, { recursive: true }))

function newFolder(name: string): string {
  const folder = join(base, name)
  mkdirSync(join(folder, 'deep', 'deeper'), { recursive: true })
  for (const file of ['a', 'deep/b', 'deep/deeper/c']) writeFileSync(join(folder, file), '')
  return folder
}

test(
  'a folder is handed over with all that is in it, also behind a link of root',
  needsMachine(isRoot, 'root'),
  () => {
    const folder = newFolder('all')
    symlinkSync(folder, join(base, 'link-to-all'))
    assert.deepEqual(handOver(join(base, 'link-to-all'), owner), [])
    for (const name of ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
      const { uid, gid } = statSync(join(folder, name))
      assert.deepEqual([uid, gid], [owner.userId, owner.groupId], name)
    }
  },
)

test(
  'links are handed over themselves, and files of others with a further name not at all',
  needsMachine(isRoot, 'root'),
  () => {
    const folder = newFolder('links')
    const others = newFolder('others')
    symlinkSync(others, join(folder, 'to-folder'))
    symlinkSync(join(others, 'a'), join(folder, 'to-file'))
    linkSync(join(others, 'deep', 'b'), join(folder, 'deep', 'same'))
    assert.deepEqual(handOver(folder, owner), [join(folder, 'deep', 'same')])
    assert.equal(lstatSync(join(folder, 'to-folder')).uid, owner.userId)
    for (const name of ['', ...readdirSync(others, { recursive: true, encoding: 'utf8' })])
      assert.equal(statSync(join(others, name)).uid, 0, name)
  },
)

test('files that are deleted meanwhile are no fault', needsMachine(isRoot, 'root'), async () => {
  const folder = join(base, 'vanishing')
  mkdirSync(folder)
  for (let i = 0; i < 20_000; i++) writeFileSync(join(folder, `${i}`), '')
  const deleting = spawn('rm', ['-r', folder])
  const ended = once(deleting, 'exit')
  // Until nothing is left: each time some names are gone between listing and use.
  while (statSync(folder, { throwIfNoEntry: false }) !== undefined)
    assert.deepEqual(handOver(folder, owner), [])
  await ended
})
