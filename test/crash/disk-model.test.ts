// The model of the disk decides what a power cut may take: too kind, and the campaign proves nothing.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Random } from '../support/random.ts'
import { cuts, makeImage } from './cuts.ts'
import { DiskModel } from './disk-model.ts'
import { type DiskOperation, Trace } from './trace.ts'

/** What is left of these operations, by the name of a cut: path → text. */
function left(cutName: string, ...steps: readonly object[]): Record<string, string> {
  const model = new DiskModel()
  for (const [at, step] of steps.entries())
    model.play({ begunAt: at, endedAt: at, ...step } as unknown as DiskOperation)
  const folder = join(mkdtempSync(join(tmpdir(), 'postrider-model-')), 'image')
  try {
    makeImage(model.root, cuts.find(({ name }) => name === cutName)!, new Random(1), folder)
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(one => one.isFile())
    return Object.fromEntries(
      files.map(one => [one.name, readFileSync(join(one.parentPath, one.name), 'latin1')]),
    )
  } finally {
    rmSync(join(folder, '..'), { recursive: true })
  }
}

const create = { kind: 'create', path: 'a' }
const write = (text: string, offset: number = 0): object => ({
  kind: 'write',
  path: 'a',
  offset,
  data: Buffer.from(text),
})
const sync = { kind: 'sync', path: 'a' }
const syncFolder = { kind: 'sync', path: '' }

test('a synced file in a folder that was not synced is lost by name', () => {
  assert.deepEqual(left('dropped', create, write('x'), sync), {})
  assert.deepEqual(left('dropped', create, write('x'), sync, syncFolder), { a: 'x' })
})

test('a file whose folder was synced, and it not, is there without its bytes', () => {
  assert.deepEqual(left('dropped', create, write('x'), syncFolder), { a: '' })
  assert.deepEqual(left('grown', create, write('xy'), syncFolder), { a: '\0\0' })
  assert.deepEqual(left('kept', create, write('xy')), { a: 'xy' })
})

test('a sync covers what had ended when it began, and nothing later', () => {
  const late = { kind: 'sync', path: 'a', begunAt: 1, endedAt: 5 }
  assert.deepEqual(left('dropped', create, write('x'), late, syncFolder), { a: '' })
})

test('a rename or removal that was not synced can be undone', () => {
  const rename = { kind: 'rename', path: 'a', to: 'b' }
  const before = [create, write('x'), sync, syncFolder]
  assert.deepEqual(left('dropped', ...before, rename), { a: 'x' })
  assert.deepEqual(left('kept', ...before, rename), { b: 'x' })
  assert.deepEqual(left('dropped', ...before, { kind: 'unlink', path: 'a' }), { a: 'x' })
  assert.deepEqual(left('dropped', ...before, { kind: 'unlink', path: 'a' }, syncFolder), {})
})

test('a folder without its name loses everything in it, synced or not', () => {
  const inside = [
    { kind: 'mkdir', path: 'd' },
    { kind: 'create', path: 'd/a' },
    { kind: 'write', path: 'd/a', offset: 0, data: Buffer.from('x') },
    { kind: 'sync', path: 'd/a' },
    { kind: 'sync', path: 'd' },
  ]
  assert.deepEqual(left('dropped', ...inside), {})
  assert.deepEqual(left('dropped', ...inside, syncFolder), { a: 'x' })
})

const hex = (text: string): string =>
  [...Buffer.from(text)].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('')

test('calls in two halves, failed calls and calls that a kill cut off are read as what they were', () => {
  const trace = new Trace('/data', 0)
  const file = hex('/data/f')
  for (const line of [
    `7 openat(AT_FDCWD<${hex('/')}>, "${file}", O_WRONLY|O_CREAT|O_EXCL, 0600) = 5<${file}>`,
    `7 openat(AT_FDCWD<${hex('/')}>, "${hex('/elsewhere')}", O_WRONLY|O_CREAT, 0600) = 6<${hex('/elsewhere')}>`,
    `7 write(5<${file}>, "${hex('ab')}", 2) = 2`,
    `7 fsync(5<${file}> <unfinished ...>`,
    `8 pwritev(5<${file}>, [{iov_base="${hex('c')}", iov_len=1}, {iov_base="${hex('d')}", iov_len=1}], 2, 9) = 2`,
    '7 <... fsync resumed>)             = 0',
    `7 fsync(5<${file}>) = -1 EIO (Input/output error)`,
    `8 pwrite64(5<${file}>, "${hex('e')}", 1, 20 <unfinished ...>`,
    '8 +++ killed by SIGKILL +++',
  ])
    trace.line(Buffer.from(line))
  assert.deepEqual(
    trace.operations.map(({ kind, begunAt, endedAt }) => [kind, begunAt, endedAt]),
    [
      ['create', 0, 0],
      ['write', 2, 2],
      ['write', 4, 4],
      ['sync', 3, 5],
    ],
  )
  const [, first, second] = trace.operations
  assert.equal((first as { offset: number }).offset, 0)
  assert.equal((second as { offset: number }).offset, 9)
  assert.equal((second as { data: Buffer }).data.toString(), 'cd')
  assert.deepEqual(
    trace.cutOff.map(({ kind }) => kind),
    ['write'],
  )
  assert.equal((trace.cutOff[0] as { offset: number }).offset, 20)
})
