// Whoever owns the data folder may put something else in the place of its files, and `postrider backup` is often run by
// root. So no file is made, given away or copied through a link.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { backup, startStoreInProcess } from '../../src/store/index.ts'
import { needsMachine } from '../support/needs-machine.ts'
import { accepted, newMessage, startMs, TestStore } from './support.ts'

const isRoot = process.getuid?.() === 0
const asRoot = needsMachine(isRoot, 'root')
const serviceUser = 65_534

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-links-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A store whose folder is the service's, with one content in a segment. */
async function open(): Promise<{ opened: TestStore; segments: string; segment: string }> {
  const opened = await TestStore.open(async options => startStoreInProcess(options))
  const content = opened.line.spool.begin()
  await content.write(randomBytes(100_000))
  await accepted(
    opened.line,
    newMessage({ content: { kind: 'segments', ...(await content.finish()) }, startState: 'scheduled' }),
  )
  const segments = join(opened.dataDir, 'segments')
  const name = readdirSync(segments).find(name => name.endsWith('.seg'))!
  if (isRoot) for (const path of [opened.dataDir, segments]) chownSync(path, serviceUser, serviceUser)
  return { opened, segments, segment: join(segments, name) }
}

test('a link in the place of the lock is refused, and nothing is made where it leads', async t => {
  const dir = folder(t)
  const { opened, segments } = await open()
  await using _opened = opened
  const outside = join(dir, 'outside')
  symlinkSync(outside, join(segments, 'hold'))
  assert.throws(() => backup({ dataDir: opened.dataDir, target: join(dir, 'copy'), nowMs: startMs }), {
    code: 'PR_STORE_UNWRITABLE',
    message: `${join(segments, 'hold')} is not a file; remove it`,
  })
  assert.equal(existsSync(outside), false)
  const why = `${join(segments, 'hold')} is not a file`
  assert.deepEqual(await opened.line.control.sweepSegments(), { why, hint: 'remove it' })
})

test('a link to a file of others is left as it was, its owner too', async t => {
  const dir = folder(t)
  const { opened, segments } = await open()
  await using _opened = opened
  const outside = join(dir, 'outside')
  writeFileSync(outside, '')
  const before = statSync(outside)
  symlinkSync(outside, join(segments, 'hold'))
  assert.throws(() => backup({ dataDir: opened.dataDir, target: join(dir, 'copy'), nowMs: startMs }), {
    code: 'PR_STORE_UNWRITABLE',
  })
  assert.deepEqual(statSync(outside), before)
})

test('a link in the place of the segments is followed only when root owns it', asRoot, async t => {
  const dir = folder(t)
  const { opened, segments } = await open()
  await using _opened = opened
  const outside = join(dir, 'outside')
  const moved = join(dir, 'moved')
  mkdirSync(outside)
  renameSync(segments, moved)
  symlinkSync(outside, segments)
  lchownSync(segments, serviceUser, serviceUser)
  assert.throws(() => backup({ dataDir: opened.dataDir, target: join(dir, 'refused'), nowMs: startMs }), {
    code: 'PR_STORE_UNWRITABLE',
    message: new RegExp(`${segments} is a link, and not one of root`),
  })
  assert.deepEqual(readdirSync(outside), [])
  rmSync(segments)
  symlinkSync(moved, segments)
  const copy = join(dir, 'copy')
  backup({ dataDir: opened.dataDir, target: copy, nowMs: startMs })
  assert.equal(readdirSync(join(copy, 'segments')).length, 1)
  rmSync(segments)
  renameSync(moved, segments)
})

test('the lock that a backup makes belongs to the owner of its folder, for him alone', async t => {
  const { opened, segments } = await open()
  await using _opened = opened
  backup({ dataDir: opened.dataDir, target: join(folder(t), 'copy'), nowMs: startMs })
  const { uid, gid, mode } = lstatSync(join(segments, 'hold'))
  const { uid: userId, gid: groupId } = statSync(segments)
  assert.deepEqual([uid, gid, mode & 0o777], [userId, groupId, 0o600])
})

test('a segment that is a link, or no file at all, is copied into no backup', async t => {
  const dir = folder(t)
  const { opened, segment } = await open()
  await using _opened = opened
  const outside = join(dir, 'outside')
  renameSync(segment, outside)
  symlinkSync(outside, segment)
  const refused = {
    code: 'PR_BACKUP_TARGET',
    message: new RegExp(`${segment} is not a file`),
  }
  const link = join(dir, 'link')
  assert.throws(() => backup({ dataDir: opened.dataDir, target: link, nowMs: startMs }), refused)
  assert.deepEqual(readdirSync(link), [], 'nothing is left of it')
  rmSync(segment)
  // Nobody writes to it: an open that waits would wait for ever.
  execFileSync('mkfifo', [segment])
  assert.throws(() => backup({ dataDir: opened.dataDir, target: join(dir, 'fifo'), nowMs: startMs }), refused)
})
