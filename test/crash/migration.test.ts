// Power cuts and kills in the first start of this version on the full database of an earlier one.
//
// The recordings of images.test.ts begin with a new folder, whose database has this version's schema from its first
// moment on. Here a loaded server is killed in mid-flight, its database gets the first schema, and what is recorded is
// the start that finds it. At every moment of its migration and recovery every cut (one of them is a kill) must leave a
// folder that opens, has this version's schema then, and holds everything.

import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { startStoreInProcess } from '../../src/store/index.ts'
import { schemaVersion } from '../../src/store/sqlite/migrate.ts'
import { makeFirstSchema } from '../support/older-schema.ts'
import { freshSeed, Random } from '../support/random.ts'
import { cuts, makeImage } from './cuts.ts'
import { type Moment, runImages } from './images.ts'
import { hasCrashTools } from './needs.ts'
import { type Expected, type Recording, record } from './recording.ts'
import { serveImage } from './serve-image.ts'
import type { DiskOperation } from './trace.ts'

const kept = cuts.find(({ name }) => name === 'kept')!
/** So many operations behind the recovery are still looked at. */
const behind = 8

test(
  'a kill or a power cut in the first start on an older schema loses nothing that waits in it',
  hasCrashTools,
  async t => {
    const seed = freshSeed()
    t.diagnostic(`seed ${seed}`)
    const random = new Random(seed)
    const scratch = mkdtempSync(join(tmpdir(), 'postrider-migration-'))
    t.after(() => rmSync(scratch, { recursive: true, force: true }))
    const folder = join(scratch, 'older')
    const expected = await killedInFlight(folder, random)
    makeFirstSchema(join(folder, 'data'))
    assert.ok(expected.acknowledged.size > 40, `${expected.acknowledged.size} messages`)
    const { scheduled, leased } = rowsOf(folder, scratch)
    assert.ok(scheduled > 0 && leased > 0, `${scheduled} recipients wait, ${leased} are leased`)

    const story = { lives: 1, messagesPerLife: 4, sessions: 2, bodyBytesMax: 60_000 }
    const recording = await record({ ...story, base: { folder, expected } }, random)
    const fresh = await tablesOfNew(scratch)
    const schemas: number[] = []
    let number = 0
    const moments = momentsOfStart(recording.operations, random)
    const result = await runImages(
      recording,
      {
        images: moments.length,
        moments,
        before: image => schemas.push(schemaOf(image, scratch)),
        andThen: async (image, _moment, { acknowledged, ledger, arrived }) => {
          const found = look(image, scratch, tablesOf)
          const wrong = fresh
            .filter(one => !found.includes(one))
            .map(one => `it is not as in a new database: ${one}`)
          if (number++ % 100 === 50)
            wrong.push(...(await serveImage(image, { acknowledged, ledger, arrived })))
          return wrong
        },
      },
      random,
    )
    t.diagnostic(
      `${result.images} images, ${schemas.filter(one => one === 1).length} of them of the old schema`,
    )
    const shown = result.violations.map(({ at, cut, wrong }) => ({
      at,
      cut: cut.name,
      wrong: wrong.slice(0, 3),
    }))
    assert.deepEqual(shown, [])
    assert.ok(result.images >= 150, `${result.images} images`)
    assert.ok(schemas.includes(1) && schemas.includes(schemaVersion), 'the migration lies among the moments')
  },
)

/** A folder as a kill leaves it, with mail in every state. */
async function killedInFlight(folder: string, random: Random): Promise<Expected> {
  const load = { lives: 1, messagesPerLife: 90, sessions: 8, bodyBytesMax: 100_000 }
  const { operations, start, ledger, arrived }: Recording = await record(load, random)
  const replies = operations.flatMap(({ kind }, at) => (kind === 'reply' ? [at] : []))
  const model = start()
  for (const operation of operations.slice(0, replies[Math.floor(replies.length * 0.7)]! + 1))
    model.play(operation)
  makeImage(model.root, kept, random, folder)
  return { acknowledged: model.acknowledged, ledger, arrived }
}

/** Every moment from the first touch of the database to a little behind the recovery, with every cut. */
function momentsOfStart(operations: readonly DiskOperation[], random: Random): Moment[] {
  const from = operations.findIndex(one => 'path' in one && one.path.startsWith('data/postrider.db'))
  const recovered = operations.findIndex(one => one.kind === 'unlink' && one.path.endsWith('.mark'))
  assert.ok(from > 0 && recovered > from, 'the start is in the recording')
  return operations.slice(0, recovered + behind).flatMap((operation, at) => {
    // The head of a frame without its page is torn like any other write.
    const isHead = operation.kind === 'write' && operation.data.length === 24
    if (at < from || isHead) return []
    return cuts.map(cut => ({ at, where: 'migration', cut, seed: random.below(0xffff_ffff) }))
  })
}

/** Looks at a copy: opening a database changes what lies beside it. */
function look<T>(folder: string, scratch: string, read: (db: DatabaseSync) => T): T {
  const copy = mkdtempSync(join(scratch, 'look-'))
  for (const name of ['postrider.db', 'postrider.db-wal'])
    if (existsSync(join(folder, 'data', name))) copyFileSync(join(folder, 'data', name), join(copy, name))
  try {
    using db = new DatabaseSync(join(copy, 'postrider.db'))
    return read(db)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function schemaOf(folder: string, scratch: string): number {
  return look(folder, scratch, versionOf)
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()!['user_version'])
}

/** The schema's number and everything that it has made, an entry each. */
function tablesOf(db: DatabaseSync): string[] {
  const made = db.prepare('SELECT name, sql FROM sqlite_schema ORDER BY name').all()
  return [`schema ${versionOf(db)}`, ...made.map(row => `${row['name']}: ${row['sql']}`)]
}

async function tablesOfNew(scratch: string): Promise<string[]> {
  const dataDir = join(scratch, 'new', 'data')
  await startStoreInProcess({ dataDir, node: 1, nowMs: 1 }).close()
  return look(join(scratch, 'new'), scratch, tablesOf)
}

function rowsOf(folder: string, scratch: string): { scheduled: number; leased: number } {
  const count =
    'SELECT count(*) FILTER (WHERE state = 0) AS scheduled, count(*) FILTER (WHERE state = 1) AS leased FROM recipient'
  return look(
    folder,
    scratch,
    db => db.prepare(count).get() as unknown as { scheduled: number; leased: number },
  )
}
