import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  backup,
  openThreadStore,
  RestorePreview,
  restore,
  startStoreInProcess,
} from '../../src/store/index.ts'
import { schemaVersion } from '../../src/store/sqlite/migrate.ts'
import { makeFirstSchema } from '../support/older-schema.ts'
import {
  accepted,
  batch,
  newMessage,
  recipient,
  type StartStore,
  settlement,
  startMs,
  TestStore,
} from './support.ts'

const start: StartStore = async options => startStoreInProcess(options)

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-backup-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function fill(opened: TestStore): Promise<{ small: Buffer; large: Buffer; bytes: Buffer }> {
  const store = opened.line
  const recipients = [recipient(0, 'a.example'), recipient(1, 'b.example')]
  const small = newMessage({ startState: 'scheduled', recipients })
  await accepted(store, small)
  const bytes = randomBytes(200_000)
  const content = store.spool.begin()
  await content.write(bytes)
  const large = newMessage({
    content: { kind: 'segments', ...(await content.finish()) },
    recipients: [recipient(0, 'b.example')],
    acceptedAtMs: startMs + 5000,
  })
  await accepted(store, large)
  writeFileSync(join(opened.dataDir, 'secret.key'), 'secret')
  mkdirSync(join(opened.dataDir, 'tls'))
  writeFileSync(join(opened.dataDir, 'tls', 'certificate.pem'), 'pem')
  return { small: small.id, large: large.id, bytes }
}

test('a backup of a running store restores with everything held, its contents and its keys', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  const { small, large, bytes } = await fill(opened)
  const target = join(dir, 'copy')
  const manifest = backup({ dataDir: opened.dataDir, target, nowMs: startMs })
  assert.deepEqual([manifest.messages, manifest.recipients], [2, 3])
  // What happens after the backup is not in it.
  await accepted(opened.line, newMessage())
  {
    using preview = RestorePreview.open(target)
    assert.deepEqual([preview.messages, preview.recipients], [2, 3])
    assert.deepEqual(preview.domains(10), [
      { domain: 'b.example', recipients: 2 },
      { domain: 'a.example', recipients: 1 },
    ])
    assert.deepEqual([preview.oldestAcceptedAtMs, preview.newestAcceptedAtMs], [startMs, startMs + 5000])
    assert.deepEqual(preview.lacking, { messages: 0, files: [] })
  }
  const dataDir = join(dir, 'restored')
  const seqBefore = opened.line.events.lastSeq()
  assert.equal(restore({ source: target, dataDir, node: 1, nowMs: startMs + 9000 }), 3)
  assert.equal(readFileSync(join(dataDir, 'secret.key'), 'utf8'), 'secret')
  assert.equal(readFileSync(join(dataDir, 'tls', 'certificate.pem'), 'utf8'), 'pem')
  await using host = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
  await using line = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => startMs })
  assert.deepEqual(await line.control.count({}), { scheduled: 0, leased: 0, held: 3 })
  const { rows } = await line.control.list({}, '', 10)
  assert.ok(rows.every(row => row.reason === 'held-by-restore'))
  assert.deepEqual(await line.queue.lease({ recipientsMax: 10, nowMs: startMs + 1e9 }), [])
  const held = line.events.ofMessage(small, 10).filter(event => event.type === 'held')
  assert.equal(held.length, 2)
  assert.ok(held.every(event => event.seq > seqBefore + 1_000_000))
  await line.control.act({ messageId: large }, { kind: 'release' }, startMs, 10)
  const [leased] = await line.queue.lease({ recipientsMax: 10, nowMs: startMs })
  assert.ok((await line.queue.readContent(leased!.key, leased!.content))?.equals(bytes))
})

function schemaOf(database: string): unknown {
  using db = new DatabaseSync(database, { readOnly: true })
  return db.prepare('PRAGMA user_version').get()?.['user_version']
}

test('the folder of an earlier version, as a kill left it, is backed up and restored as one of this version', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  const { small, large, bytes } = await fill(opened)
  const flying = newMessage()
  await accepted(opened.line, flying)
  const lastSeq = opened.line.events.lastSeq()
  await opened.stop()
  makeFirstSchema(opened.dataDir)
  const target = join(dir, 'copy')
  const manifest = backup({ dataDir: opened.dataDir, target, nowMs: startMs })
  assert.deepEqual([manifest.schema, manifest.messages, manifest.recipients], [1, 3, 4])
  const dataDir = join(dir, 'restored')
  assert.equal(restore({ source: target, dataDir, node: 1, nowMs: startMs + 9000 }), 4)
  assert.equal(schemaOf(join(dataDir, 'postrider.db')), schemaVersion)
  assert.equal(schemaOf(join(target, 'postrider.db')), 1, 'the backup is left as it was')
  {
    // What was leased in the old folder is not due after a start, as it would be without the restore.
    await using first = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
    await using line = openThreadStore({ dataDir, port: first.connect(), thread: 0, nowMs: () => startMs })
    assert.deepEqual(await line.queue.lease({ recipientsMax: 10, nowMs: startMs + 1e9 }), [])
    for (const [id, held] of [
      [small, 2],
      [large, 1],
      [flying.id, 1],
    ] as const)
      assert.deepEqual(
        line.events.ofMessage(id, 10).map(event => event.type),
        ['accepted', ...Array<string>(held).fill('held')],
      )
    assert.ok(line.events.lastSeq() > lastSeq + 1_000_000)
  }
  await using host = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
  await using line = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => startMs })
  assert.deepEqual(await line.control.count({}), { scheduled: 0, leased: 0, held: 4 })
  await line.control.act({}, { kind: 'release' }, startMs, 10)
  const leased = await line.queue.lease({ recipientsMax: 10, nowMs: startMs })
  assert.deepEqual(
    leased.map(({ id }) => id.toString('hex')).sort(),
    [small, large, flying.id].map(id => id.toString('hex')).sort(),
  )
  const found = leased.find(({ id }) => id.equals(large))!
  assert.ok((await line.queue.readContent(found.key, found.content))?.equals(bytes))
})

/** A store with one large message and nothing else in its segment. */
async function withLarge(opened: TestStore): Promise<{ settle: () => Promise<void>; files: () => string[] }> {
  const content = opened.line.spool.begin()
  await content.write(randomBytes(100_000))
  const message = newMessage({ content: { kind: 'segments', ...(await content.finish()) } })
  await accepted(opened.line, message)
  await opened.restart(startMs)
  return {
    settle: async () => {
      const [leased] = await opened.line.queue.lease({ recipientsMax: 1, nowMs: startMs })
      await opened.line.queue.settle(
        batch({ settlements: [settlement(message, leased!.key, 0, 1, 'delivered')] }),
      )
    },
    files: () => readdirSync(join(opened.dataDir, 'segments')).filter(name => name.endsWith('.seg')),
  }
}

/** Waits until nothing is left of the segments; their deletion runs beside everything else. */
async function noneLeft(files: () => string[]): Promise<void> {
  for (let i = 0; i < 3000 && files().length > 0; i++) await sleep(10)
  assert.deepEqual(files(), [])
}

/** A process that holds the segments as a running backup does. */
async function holder(segments: string): Promise<ChildProcess> {
  const module = new URL('../../src/store/sqlite/segment-hold.ts', import.meta.url).href
  const code = `import { SegmentHold } from '${module}'
    globalThis.hold = SegmentHold.take(${JSON.stringify(segments)})
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout!, 'data')
  return child
}

test('a segment that dies while backups hold the folder stays until the last of them is over, or dead', async () => {
  await using opened = await TestStore.open(start)
  const { settle, files } = await withLarge(opened)
  const segments = join(opened.dataDir, 'segments')
  const backups = [await holder(segments), await holder(segments)]
  await settle()
  for (const child of backups) {
    await opened.line.control.sweepSegments()
    assert.equal(files().length, 1)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await opened.line.control.sweepSegments()
  await noneLeft(files)
})

test('what a dead backup left behind holds nothing, although somebody has its process number now', async () => {
  await using opened = await TestStore.open(start)
  const { settle, files } = await withLarge(opened)
  for (const name of ['hold', `hold-${process.pid}`])
    writeFileSync(join(opened.dataDir, 'segments', name), '')
  await settle()
  await noneLeft(files)
})

/** What a process without rights of root finds out about the lock. It is loaded first: it may not read our sources later. */
function faultFor(segments: string, userId: number): unknown {
  const module = new URL('../../src/store/sqlite/segment-hold.ts', import.meta.url).href
  const code = `import { SegmentHold } from '${module}'
    if (process.getuid() === 0) {
      process.setgroups([])
      process.setgid(${userId})
      process.setuid(${userId})
    }
    console.log(JSON.stringify([SegmentHold.fault(${JSON.stringify(segments)}), SegmentHold.isTaken(${JSON.stringify(segments)})]))`
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }))
}

test('a lock that the server may not take keeps the segments, and what mends it is said', t => {
  const segments = folder(t)
  const path = join(segments, 'hold')
  const isRoot = process.getuid?.() === 0
  const userId = isRoot ? 65_534 : process.getuid!()
  if (isRoot) chownSync(segments, userId, userId)
  assert.deepEqual(faultFor(segments, userId), [null, false], 'there is none yet')
  writeFileSync(path, '', { mode: 0o600 })
  if (isRoot) {
    const why = `this user (${userId}) may not lock ${path} (owner 0, mode 600)`
    const hint = `as root: chown ${userId}:${userId} ${path}`
    assert.deepEqual(faultFor(segments, userId), [{ why, hint }, true])
    chownSync(path, userId, userId)
  }
  assert.deepEqual(faultFor(segments, userId), [null, false])
  chmodSync(path, 0o400)
  const why = `this user (${userId}) may not lock ${path} (owner ${userId}, mode 400)`
  assert.deepEqual(faultFor(segments, userId), [{ why, hint: `chmod 600 ${path}` }, true])
})

test('something else in the place of the lock keeps the segments and is told by the sweep, until it is gone', async () => {
  await using opened = await TestStore.open(start)
  const { settle, files } = await withLarge(opened)
  const { control } = opened.line
  const path = join(opened.dataDir, 'segments', 'hold')
  assert.equal(await control.sweepSegments(), null)
  writeFileSync(path, 'something else, and longer than the head of a database would be: '.repeat(20))
  await settle()
  assert.deepEqual(await control.sweepSegments(), {
    why: `${path} is not the lock of a backup`,
    hint: 'remove it while no backup is running',
  })
  rmSync(path)
  mkdirSync(path)
  assert.deepEqual(await control.sweepSegments(), { why: `${path} is not a file`, hint: 'remove it' })
  assert.equal(files().length, 1)
  rmdirSync(path)
  const backup = await holder(join(opened.dataDir, 'segments'))
  assert.equal(await control.sweepSegments(), null, 'a running backup is no fault')
  assert.equal(files().length, 1)
  backup.kill('SIGKILL')
  await once(backup, 'exit')
  assert.equal(await control.sweepSegments(), null)
  await noneLeft(files)
})

test('neither backup nor restore writes into a folder that has something in it', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  const target = join(dir, 'copy')
  backup({ dataDir: opened.dataDir, target, nowMs: startMs })
  assert.throws(() => backup({ dataDir: opened.dataDir, target, nowMs: startMs }), {
    code: 'PR_BACKUP_TARGET',
  })
  assert.throws(() => restore({ source: target, dataDir: opened.dataDir, node: 1, nowMs: startMs }), {
    code: 'PR_BACKUP_TARGET',
    message: /stop its server and move it away, or name another data_dir/,
  })
})

test('a backup without all contents is restored only by who wants it so, and its preview says what it lacks', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  const { small, large } = await fill(opened)
  const source = join(dir, 'copy')
  backup({ dataDir: opened.dataDir, target: source, nowMs: startMs })
  const dataDir = join(dir, 'restored')
  const segments = join(source, 'segments')
  const [name] = readdirSync(segments)
  const harms = [
    () => truncateSync(join(segments, name!), 199_999),
    () => rmSync(join(segments, name!)),
    () => rmdirSync(segments),
  ]
  for (const harm of harms) {
    harm()
    assert.throws(() => restore({ source, dataDir, node: 1, nowMs: startMs }), {
      code: 'PR_BACKUP_INCOMPLETE',
      message: new RegExp(`lacks contents of 1 message \\(${name}\\)`),
    })
    assert.equal(existsSync(dataDir), false)
    using preview = RestorePreview.open(source)
    assert.deepEqual(preview.lacking, { messages: 1, files: [name] })
  }
  assert.equal(restore({ source, dataDir, node: 1, nowMs: startMs, mayLackContents: true }), 3)
  await using host = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
  await using line = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => startMs })
  await line.control.act({}, { kind: 'release' }, startMs, 10)
  const leased = await line.queue.lease({ recipientsMax: 10, nowMs: startMs })
  for (const { id, key, content } of leased) {
    const read = line.queue.readContent(key, content)
    if (id.equals(large)) await assert.rejects(read, /shorter than its contents/)
    else assert.ok(id.equals(small) && (await read) !== null)
  }
  assert.equal(leased.length, 2)
})

test('a backup whose folder of segments was empty and got lost on a copy is whole', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  await accepted(opened.line, newMessage())
  const source = join(dir, 'copy')
  backup({ dataDir: opened.dataDir, target: source, nowMs: startMs })
  rmdirSync(join(source, 'segments'))
  assert.equal(restore({ source, dataDir: join(dir, 'restored'), node: 1, nowMs: startMs }), 1)
})

test('no server can take the folder while a restore is at work in it', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  await accepted(opened.line, newMessage())
  const source = join(dir, 'copy')
  const dataDir = join(dir, 'restored')
  backup({ dataDir: opened.dataDir, target: source, nowMs: startMs })
  const from = (path: string): string =>
    JSON.stringify(new URL(`../../src/store/${path}`, import.meta.url).href)
  const server = `import { DataLock } from ${from('sqlite/lock.ts')}
    try { DataLock.take(${JSON.stringify(dataDir)}); console.log('taken') } catch (error) { console.log(error.code) }`
  // A server starts right before the last step, which makes the folder one that can be used.
  const code = `import { spawnSync } from 'node:child_process'
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { renameSync } = fs
    fs.renameSync = (...names) => {
      const args = ['--input-type=module', '-e', ${JSON.stringify(server)}]
      console.log(spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout.trim())
      renameSync(...names)
    }
    syncBuiltinESMExports()
    const { restore } = await import(${from('backup/index.ts')})
    restore(${JSON.stringify({ source, dataDir, node: 1, nowMs: startMs })})`
  const run = (script: string): string =>
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(run(code), 'PR_STORE_LOCKED\n')
  assert.equal(run(server), 'taken\n', 'afterwards it can be')
})

test('backups inside the data folder are in no other backup, whole or half', async t => {
  const dir = folder(t)
  await using opened = await TestStore.open(start)
  const { dataDir } = opened
  const backups = join(dataDir, 'backups')
  backup({ dataDir, target: join(backups, '1'), nowMs: startMs })
  // As a kill leaves it: without its manifest.
  mkdirSync(join(backups, 'half'))
  writeFileSync(join(backups, 'half', 'postrider.db'), 'half')
  writeFileSync(join(backups, 'notes'), 'which is which')
  for (const target of [join(backups, '2'), join(dir, 'elsewhere')]) {
    backup({ dataDir, target, nowMs: startMs })
    assert.deepEqual(readdirSync(join(target, 'backups')), ['notes'])
  }
})

test('a folder that is no finished backup is refused before anything is written', t => {
  const dir = folder(t)
  const dataDir = join(dir, 'data')
  assert.throws(() => restore({ source: dir, dataDir, node: 1, nowMs: startMs }), {
    code: 'PR_BACKUP_SOURCE',
  })
  assert.equal(existsSync(dataDir), false)
})
