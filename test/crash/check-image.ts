// Opens what a power cut left, with the product's own code, and says everything that is wrong with it.
//
//   1. The data folder is taken as `serve` takes it: lock, secret key, certificate; the store opens and recovers.
//   2. The database is whole (integrity_check).
//   3. Everything that waits has its content, header and body byte for byte what was sent, behind the prefix that it was
//      accepted with, whose signatures are good (also what was never acknowledged).
//   4. Every recipient of every message that is acknowledged or in the event log waits or has its end there, exactly one of
//      the two; the end is the one that the receiver made, and a delivery has really reached it.
//   5. The account of the first run can still sign.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { loadSecretKey, SecretBox } from '../../src/accounts/index.ts'
import { formatId } from '../../src/base/index.ts'
import { loadTlsMaterial } from '../../src/config/index.ts'
import { type StoredEvent, unpackAccepted } from '../../src/events/index.ts'
import { DataLock, openThreadStore, startStoreInProcess, type ThreadStore } from '../../src/store/index.ts'
import { endOf } from './judge.ts'
import type { Ledger } from './load.ts'
import { recognise } from './message.ts'
import { keyRecordsIn } from './prefixes.ts'
import { type Expected, senderDomain } from './recording.ts'

/** Late enough for everything that was deferred to be due. */
const nowMs = Date.UTC(2100, 0, 1)
const finalTypes = new Set(['delivered', 'bounced', 'expired', 'cancelled', 'suppressed'])

/** All that is wrong; empty when nothing is. @param folder holds `data`. */
export async function checkImage(folder: string, expected: Expected): Promise<string[]> {
  const wrong: string[] = []
  const dataDir = join(folder, 'data')
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    using _lock = DataLock.take(dataDir)
    const secret = loadSecretKey(dataDir, randomBytes)
    if (!secret.ok) wrong.push(`${secret.problem.what}: ${secret.problem.hint}`)
    const tls = loadTlsMaterial({
      tls: null,
      dataDir,
      hostname: 'relay.example',
      nowMs: Date.now(),
      randomBytes,
    })
    if (!tls.ok) wrong.push(`${tls.problem.what}: ${tls.problem.hint}`)
    await checkStore(dataDir, expected, secret.ok ? secret.key : null, wrong)
  } catch (error) {
    wrong.push(`it does not open: ${(error as Error).message}`)
  }
  return wrong
}

async function checkStore(
  dataDir: string,
  expected: Expected,
  secretKey: Buffer | null,
  wrong: string[],
): Promise<void> {
  await using host = startStoreInProcess({ dataDir, node: 1, nowMs })
  await using line = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => nowMs })
  checkDatabase(join(dataDir, 'postrider.db'), wrong)
  const waiting = await readWaiting(line, expected.ledger, wrong)
  wrong.push(...(await expected.ledger.prefixes.verify(() => keyRecordsIn(dataDir))))
  checkRecipients(expected, waiting, readLog(line, wrong), wrong)
  if (expected.acknowledged.size > 0) checkAccount(line, dataDir, secretKey, wrong)
}

function checkDatabase(path: string, wrong: string[]): void {
  using db = new DatabaseSync(path, { readOnly: true })
  const verdict = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check: string }
  if (verdict.integrity_check !== 'ok') wrong.push(`the database is damaged: ${verdict.integrity_check}`)
}

/** By id: the recipients that wait. */
async function readWaiting(
  line: ThreadStore,
  ledger: Ledger,
  wrong: string[],
): Promise<Map<string, Map<number, string>>> {
  const waiting = new Map<string, Map<number, string>>()
  for (;;) {
    const leased = await line.queue.lease({ recipientsMax: 1000, nowMs })
    if (leased.length === 0) return waiting
    for (const message of leased) {
      const id = formatId('msg', message.id)
      const known = waiting.get(id) ?? new Map<number, string>()
      for (const { number, forwardPath } of message.recipients) known.set(number, forwardPath)
      waiting.set(id, known)
      const content = await line.queue.readContent(message.key, message.content).catch(() => null)
      const prefix = line.queue.readPrefix(message.key)
      const isGone = content === null || prefix === null
      const found = isGone ? 'gone' : recognise(Buffer.concat([prefix, content]), ledger.sent)
      if (typeof found === 'string') wrong.push(`${id} waits with a content that is not right: ${found}`)
      else if (found.id !== id) wrong.push(`${id} waits with the content of ${found.id}`)
      else wrong.push(...ledger.prefixes.note(found))
    }
  }
}

/** What the event log says. */
interface Log {
  /** Recipients by id. */
  readonly paths: ReadonlyMap<string, readonly string[]>
  /** Ends by `<id>.<number>`. */
  readonly ends: ReadonlyMap<string, StoredEvent>
}

function readLog(line: ThreadStore, wrong: string[]): Log {
  const paths = new Map<string, readonly string[]>()
  const ends = new Map<string, StoredEvent>()
  for (let after = 0; ; ) {
    const events = line.events.list(after, 1000)
    if (events.length === 0) return { paths, ends }
    for (const event of events) {
      after = event.seq
      if (event.messageId === null) continue
      const id = formatId('msg', event.messageId)
      if (event.type === 'accepted') paths.set(id, unpackAccepted(event.facts).forwardPaths)
      if (!finalTypes.has(event.type)) continue
      const key = `${id}.${event.recipientNumber}`
      if (ends.has(key)) wrong.push(`${key} has two ends in the log`)
      ends.set(key, event)
    }
  }
}

function checkRecipients(
  { acknowledged, arrived }: Expected,
  waiting: ReadonlyMap<string, ReadonlyMap<number, string>>,
  { paths, ends }: Log,
  wrong: string[],
): void {
  for (const id of acknowledged) if (!paths.has(id)) wrong.push(`${id} was acknowledged and is lost`)
  for (const id of waiting.keys()) if (!paths.has(id)) wrong.push(`${id} waits and is not in the log`)
  for (const [id, to] of paths)
    for (const [number, path] of to.entries()) {
      const key = `${id}.${number}`
      const waits = waiting.get(id)?.get(number)
      const end = ends.get(key)
      if (waits !== undefined && end !== undefined) wrong.push(`${key} waits and is ${end.type}`)
      if (waits !== undefined && waits !== path) wrong.push(`${key} waits for ${waits}, not for ${path}`)
      if (waits === undefined && end === undefined)
        wrong.push(`${key} was ${acknowledged.has(id) ? 'acknowledged' : 'accepted'} and is lost`)
      if (end !== undefined && end.type !== endOf(path)) wrong.push(`${key} to ${path} is ${end.type}`)
      if (end?.type === 'delivered' && !arrived.has(`${id} ${path}`))
        wrong.push(`${key} is said to be delivered and never came`)
    }
}

/** What every acknowledged message stands on: its account, and the keys that sign for it. */
function checkAccount(line: ThreadStore, dataDir: string, secretKey: Buffer | null, wrong: string[]): void {
  const account = line.accounts.accountByName('default')
  const domain = account === null ? null : line.accounts.domain(account.key, senderDomain)
  if (domain === null) return void wrong.push('the account or its domain is lost')
  const keys = line.accounts.keysOf(domain.key)
  const box = secretKey === null ? null : new SecretBox(secretKey, randomBytes)
  if (keys.length === 0 || keys.some(key => box?.open(key.id, key.encryptedPrivateKey) == null))
    wrong.push('the DKIM keys cannot be opened any more')
  if (!existsSync(join(dataDir, 'first-run.json'))) wrong.push('first-run.json is lost')
}
