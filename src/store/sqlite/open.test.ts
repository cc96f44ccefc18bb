import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { startStoreInProcess, startStoreThread } from '../index.ts'
import { DataLock } from './lock.ts'
import { databasePath, restoringPath } from './writer.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-open-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const open = (dataDir: string): unknown => startStoreInProcess({ dataDir, node: 1, nowMs: 1 })

test('a newer schema is refused with both numbers and nothing is changed', async t => {
  const dataDir = folder(t)
  await startStoreInProcess({ dataDir, node: 1, nowMs: 1 }).close()
  const db = new DatabaseSync(databasePath(dataDir))
  db.exec('PRAGMA user_version = 99')
  db.close()
  assert.throws(() => open(dataDir), {
    code: 'PR_STORE_NEWER',
    message: /newer Postrider \(schema 99, this one knows 2\)/,
  })
  await assert.rejects(startStoreThread({ dataDir, node: 1, nowMs: 1 }), { code: 'PR_STORE_NEWER' })
})

test('a file that is no database is refused and left as it is', t => {
  const dataDir = folder(t)
  writeFileSync(databasePath(dataDir), 'these are my notes, not a database\n'.repeat(500))
  const before = readFileSync(databasePath(dataDir))
  assert.throws(() => open(dataDir), { code: 'PR_STORE_FOREIGN' })
  assert.deepEqual(readFileSync(databasePath(dataDir)), before)
})

test('what a crash has left of a database in the making is made anew', async t => {
  const dataDir = folder(t)
  for (const left of ['.new', '.new-journal', '.new-wal', '-journal'])
    writeFileSync(databasePath(dataDir) + left, Buffer.alloc(5000, 0xd9))
  writeFileSync(databasePath(dataDir), '')
  await startStoreInProcess({ dataDir, node: 1, nowMs: 1 }).close()
  assert.deepEqual(
    readdirSync(dataDir).filter(name => name.startsWith('postrider.db')),
    ['postrider.db'],
  )
})

test('each start commits before it acts, so that what a killed process left in the log is synced', async t => {
  const dataDir = folder(t)
  await startStoreInProcess({ dataDir, node: 1, nowMs: 1 }).close()
  const store = startStoreInProcess({ dataDir, node: 1, nowMs: 1 })
  assert.ok(statSync(`${databasePath(dataDir)}-wal`).size > 4096)
  await store.close()
})

test('another program’s database is refused and left as it is', t => {
  const dataDir = folder(t)
  const db = new DatabaseSync(databasePath(dataDir))
  db.exec('CREATE TABLE photos (id INTEGER)')
  db.close()
  assert.throws(() => open(dataDir), { code: 'PR_STORE_FOREIGN' })
  const again = new DatabaseSync(databasePath(dataDir))
  assert.deepEqual(
    again
      .prepare('SELECT name FROM sqlite_schema')
      .all()
      .map(row => Object.values(row)[0]),
    ['photos'],
  )
  again.close()
})

test('a damaged database is refused as damaged', async t => {
  const dataDir = folder(t)
  await startStoreInProcess({ dataDir, node: 1, nowMs: 1 }).close()
  const bytes = readFileSync(databasePath(dataDir))
  bytes.fill(0xaa, 100)
  writeFileSync(databasePath(dataDir), bytes)
  assert.throws(() => open(dataDir), { code: 'PR_STORE_CORRUPT' })
})

test('a data folder that cannot be made is an error that names it', t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'file'), '')
  assert.throws(() => open(join(dir, 'file', 'data')), {
    code: 'PR_STORE_UNWRITABLE',
    message: new RegExp(join(dir, 'file', 'data')),
  })
})

test('an unfinished restore is refused', t => {
  const dataDir = folder(t)
  writeFileSync(restoringPath(dataDir), '')
  assert.throws(() => open(dataDir), { message: /restore .* was not finished/ })
})

test('a second server on the same folder is refused with the first one’s process id', t => {
  const dataDir = folder(t)
  const script = `
    import { DataLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}
    try { DataLock.take(${JSON.stringify(dataDir)}); console.log('taken') } catch (error) { console.log(error.code, error.message) }`
  const attempt = (): string =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout
  {
    using _lock = DataLock.take(dataDir)
    assert.match(attempt(), new RegExp(`PR_STORE_LOCKED .*process ${process.pid}\\b`))
  }
  // The child ends without giving the lock back, as a killed one does: the kernel frees it.
  assert.match(attempt(), /^taken/)
  assert.match(attempt(), /^taken/)
})

test('a lock file that may only be read is refused: it would keep no second server out', t => {
  const dataDir = folder(t)
  const userId = process.getuid?.() === 0 ? 65_534 : process.getuid!()
  writeFileSync(join(dataDir, 'lock'), '')
  for (const path of [dataDir, join(dataDir, 'lock')]) chownSync(path, userId, userId)
  chmodSync(join(dataDir, 'lock'), 0o400)
  const script = `
    import { DataLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}
    if (process.getuid() === 0) process.setuid(${userId})
    try { DataLock.take(${JSON.stringify(dataDir)}); console.log('taken') } catch (error) { console.log(error.code, error.message) }`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.match(
    stdout,
    /^PR_STORE_UNWRITABLE .*lock cannot be opened for writing; check owner and permissions/,
  )
})

test('the lock of a missing folder is an error about the folder', t => {
  const dir = folder(t)
  mkdirSync(join(dir, 'x'))
  assert.throws(() => DataLock.take(join(dir, 'missing')), { code: 'PR_STORE_UNWRITABLE' })
})
