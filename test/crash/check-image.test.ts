// Would the judge of crash images notice? A folder as a kill left it is damaged in one place; each damage must be named.
//
// The campaign of images.test.ts is as good as this judge: with all it finds fault with nothing, it has shown nothing.

import assert from 'node:assert/strict'
import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { eventTypes, packOutcomeFacts } from '../../src/events/index.ts'
import { outcome } from '../conformance/support.ts'
import { checkImage } from './check-image.ts'
import { killedFolder } from './killed-folder.ts'
import type { Expected } from './recording.ts'

/** Something done to the folder `data`, and what must be said of it. */
type Row = readonly [name: string, harm: (dataDir: string) => void, says: RegExp]

const inDatabase =
  (harm: (db: DatabaseSync) => void) =>
  (dataDir: string): void => {
    using db = new DatabaseSync(join(dataDir, 'postrider.db'))
    harm(db)
  }

const toSegments =
  (harm: (path: string) => void) =>
  (dataDir: string): void => {
    for (const path of segments(dataDir)) harm(path)
  }

const segments = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'segments'))
    .filter(name => name.endsWith('.seg'))
    .map(name => join(dataDir, 'segments', name))

/** Says in the log what became of the first recipient of the last message. */
function deliver(db: DatabaseSync, kind: 'delivered' | 'bounced' = 'delivered'): void {
  const facts = packOutcomeFacts({
    forwardPath: 'there@there.example',
    attempt: 1,
    outcome: outcome(kind),
    nextAttemptAtMs: 0,
    conversation: [],
  })
  db.prepare(
    'INSERT INTO event (seq, type, at_ms, account_key, stream_key, node, message_id, recipient_number, facts)' +
      ' SELECT (SELECT max(seq) FROM event) + 1, ?, 1, account_key, stream_key, 1, id, 0, ? FROM message ORDER BY key DESC LIMIT 1',
  ).run(eventTypes[kind], facts)
}

/** Changes the bytes of a column, in each row where there is something to change. */
function change(
  db: DatabaseSync,
  table: 'content' | 'message',
  column: string,
  from: string | RegExp,
  to: string,
): void {
  const write = db.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`)
  for (const row of db.prepare(`SELECT rowid AS row, ${column} AS bytes FROM ${table}`).all()) {
    const before = Buffer.from(row['bytes'] as Uint8Array).toString('latin1')
    write.run(Buffer.from(before.replace(from, to), 'latin1'), Number(row['row']))
  }
}

/** A page that is read for no delivery: only a look at the whole database finds it. */
function wipeIndexPage(dataDir: string): void {
  const path = join(dataDir, 'postrider.db')
  let page = 0
  inDatabase(db => {
    const index = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'credential_account'").get()
    page = Number(index!['rootpage'])
  })(dataDir)
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, Buffer.alloc(4096), 0, 4096, (page - 1) * 4096)
  closeSync(descriptor)
}

/** Takes the row of that recipient away. */
const forget = (db: DatabaseSync): void =>
  db.exec('DELETE FROM recipient WHERE key = (SELECT max(key) FROM message) * 65536')

const rows: readonly Row[] = [
  [
    'a small content with other bytes',
    inDatabase(db => db.exec('UPDATE content SET bytes = zeroblob(length(bytes))')),
    /waits with a content that is not right: unreadable/,
  ],
  [
    'a header field with other bytes',
    inDatabase(db => change(db, 'content', 'bytes', 'From: Ann', 'From: Bob')),
    /waits with a content that is not right: number \d+ differs/,
  ],
  [
    'a blank less in a header field',
    inDatabase(db => change(db, 'content', 'bytes', 'x-Notes:  as', 'x-Notes: as')),
    /waits with a content that is not right: number \d+ differs/,
  ],
  [
    'a signature with other bytes',
    inDatabase(db => change(db, 'message', 'prefix', /\bb=(\s*)(\w)(\w)(\w)/, 'b=$1$3$4$2')),
    /of its 2 signatures these are good: /,
  ],
  [
    'a prefix that is cut short',
    inDatabase(db => change(db, 'message', 'prefix', /Date: .*\r\n$/, '')),
    /its prefix has the fields DKIM-Signature, DKIM-Signature, Received, Message-ID, not/,
  ],
  [
    'a prefix without signatures',
    inDatabase(db => change(db, 'message', 'prefix', /^[\s\S]*?(?=Received: )/, '')),
    /its prefix has the fields Received, Message-ID, Date, not/,
  ],
  [
    'the content and prefix of another message',
    inDatabase(db => {
      const two = db.prepare('SELECT message_key FROM content ORDER BY message_key LIMIT 2').all()
      const [to, from] = two.map(row => Number(row['message_key']))
      db.exec(
        `UPDATE content SET bytes = (SELECT bytes FROM content WHERE message_key = ${from}) WHERE message_key = ${to}`,
      )
      db.exec(
        `UPDATE message SET prefix = (SELECT prefix FROM message WHERE key = ${from}) WHERE key = ${to}`,
      )
    }),
    /waits with the content of msg_/,
  ],
  [
    'a large content that is cut short',
    toSegments(path => truncateSync(path, 30_000)),
    /waits with a content that is not right: (gone|number)/,
  ],
  ['a segment that is not there', toSegments(path => rmSync(path)), /it does not open: \d+ segment files? /],
  ['a recipient without its row', inDatabase(forget), /\.0 was acknowledged and is lost/],
  ['a recipient that waits although it was delivered', inDatabase(deliver), /\.0 waits and is delivered/],
  [
    'a delivery that never was',
    inDatabase(db => {
      forget(db)
      deliver(db)
    }),
    /\.0 is said to be delivered and never came/,
  ],
  [
    'a bounce that the receiver did not make',
    inDatabase(db => {
      forget(db)
      deliver(db, 'bounced')
    }),
    /\.0 to (there|later|again)\S+ is bounced/,
  ],
  [
    'a recipient with two ends',
    inDatabase(db => {
      forget(db)
      deliver(db)
      deliver(db)
    }),
    /\.0 has two ends in the log/,
  ],
  ['a page without its bytes', wipeIndexPage, /the database is damaged|it does not open/],
  [
    'another key than the one that the accounts were sealed with',
    dataDir => writeFileSync(join(dataDir, 'secret.key'), Buffer.alloc(32, 7)),
    /the DKIM keys cannot be opened any more/,
  ],
  [
    'a first run without its login',
    dataDir => rmSync(join(dataDir, 'first-run.json')),
    /first-run\.json is lost/,
  ],
  [
    'an account that is gone',
    inDatabase(db => db.exec('DELETE FROM domain')),
    /the account or its domain is lost/,
  ],
]

describe('the judge of crash images', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'postrider-judge-'))
  const folder = join(scratch, 'killed')
  let expected: Expected

  before(async () => {
    expected = await killedFolder(folder, 24)
  })
  after(() => rmSync(scratch, { recursive: true, force: true }))

  async function judged(harm: (dataDir: string) => void): Promise<string[]> {
    const image = join(mkdtempSync(join(scratch, 'image-')), 'root')
    cpSync(folder, image, { recursive: true, filter: path => !path.endsWith('.sock') })
    harm(join(image, 'data'))
    // Nothing is known from an earlier look.
    return await checkImage(image, { ...expected, ledger: expected.ledger.copy() })
  }

  test('finds no fault with what a kill left', async () => {
    assert.equal(expected.acknowledged.size, 24)
    assert.ok(segments(join(folder, 'data')).length > 0)
    assert.deepEqual(await judged(() => {}), [])
  })

  for (const [name, harm, says] of rows)
    test(`finds ${name}`, async () => {
      const wrong = await judged(harm)
      assert.ok(
        wrong.some(text => says.test(text)),
        wrong.join('; ') || 'nothing was found',
      )
    })

  test('finds a trace field that is another one than at an earlier look', async () => {
    const ledger = expected.ledger.copy()
    const image = join(scratch, 'earlier')
    cpSync(folder, image, { recursive: true, filter: path => !path.endsWith('.sock') })
    assert.deepEqual(await checkImage(image, { ...expected, ledger }), [])
    inDatabase(db => {
      db.exec('UPDATE recipient SET state = 0, next_at_ms = 0')
      change(db, 'message', 'prefix', 'client.example', 'klient.example')
    })(join(image, 'data'))
    const wrong = await checkImage(image, { ...expected, ledger })
    assert.match(wrong.join('; '), /^msg_\w+ has another prefix than when it was first seen/)
  })

  test('finds a message that is not there at all', async () => {
    const lost = new Set([...expected.acknowledged, 'msg_aaaaaaaaaaaaaaaaaaaaaaaaaa'])
    const wrong = await checkImage(folder, { ...expected, acknowledged: lost })
    assert.deepEqual(wrong, ['msg_aaaaaaaaaaaaaaaaaaaaaaaaaa was acknowledged and is lost'])
  })
})
