// Handing a folder over: all of it, no more than it, and while it changes.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
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
// Those whom it is handed to may get there.
chmodSync(base, 0o755)
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

test(
  'a file of others that is put under a name meanwhile is never given away',
  needsMachine(isRoot, 'root'),
  async () => {
    const folder = newFolder('swapping')
    const others = join(base, 'of-others')
    writeFileSync(others, 'kept')
    chownSync(folder, owner.userId, owner.groupId)
    // The owner of the folder may rename in it: one name of his own file, and one that is a further name of another's.
    linkSync(others, join(folder, 'one'))
    writeFileSync(join(folder, 'two'), '')
    const swap = `import { renameSync } from 'node:fs'
      const folder = process.argv[1]
      process.setgid(${owner.groupId})
      process.setuid(${owner.userId})
      process.send('ready')
      const move = (from, to) => { try { renameSync(folder + '/' + from, folder + '/' + to) } catch {} }
      for (;;) { move('one', 'three'); move('two', 'one'); move('one', 'two'); move('three', 'one') }`
    const swapping = spawn(process.execPath, ['--input-type=module', '--eval', swap, folder], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const ended = once(swapping, 'exit')
    await once(swapping, 'message')
    const endMs = performance.now() + 2000
    while (performance.now() < endMs && statSync(others).uid === 0) {
      // Root's own again, whichever name is there now.
      for (const name of ['one', 'two', 'three']) ifThere(() => chownSync(join(folder, name), 0, 0))
      handOver(folder, owner)
    }
    swapping.kill()
    await ended
    assert.equal(statSync(others).uid, 0)
    assert.equal(statSync(folder).uid, owner.userId)
  },
)

function ifThere(work: () => void): void {
  try {
    work()
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT')
  }
}
