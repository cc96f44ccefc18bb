// Opens what a power cut left, with the product's own code, and says everything that is wrong with it.
//
//   1. The data folder is taken as `serve` takes it: lock, secret key, certificate; the store opens and recovers.
//   2. The database is whole (integrity_check).
//   3. Everything that waits has its content, byte for byte what was sent (also what was never acknowledged).
//   4. Every acknowledged recipient waits or has its end in the event log, exactly one of the two, and a delivery
//      in the log has really reached the receiver.
//   5. The account of the first run can still sign.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { loadSecretKey, SecretBox } from '../../src/accounts/index.ts'
import { formatId } from '../../src/base/index.ts'
import { loadTlsMaterial } from '../../src/config/index.ts'
import type { StoredEvent } from '../../src/events/index.ts'
import { DataLock, openThreadStore, startStoreInProcess, type ThreadStore } from '../../src/store/index.ts'
import { type Ledger, recognise } from './load.ts'
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
  const ends = readEnds(line, wrong)
  checkAcknowledged(expected, waiting, ends, wrong)
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
      const whole = content === null || prefix === null ? null : recognise(Buffer.concat([prefix, content]))
      const sent = ledger.sent.get(whole?.number ?? -1)
      if (sent === undefined || sent.bodyHash !== whole?.bodyHash || whole.id !== id)
        wrong.push(`${id} waits with a content that is ${content === null ? 'gone' : 'not what was sent'}`)
    }
  }
}

/** Recipients with their end: `<id>.<number>`. */
function readEnds(line: ThreadStore, wrong: string[]): Map<string, StoredEvent> {
  const ends = new Map<string, StoredEvent>()
  for (let after = 0; ; ) {
    const events = line.events.list(after, 1000)
    if (events.length === 0) return ends
    for (const event of events) {
      after = event.seq
      if (event.messageId === null || !finalTypes.has(event.type)) continue
      const key = `${formatId('msg', event.messageId)}.${event.recipientNumber}`
      if (ends.has(key)) wrong.push(`${key} has two ends in the log`)
      ends.set(key, event)
    }
  }
}

function checkAcknowledged(
  expected: Expected,
  waiting: ReadonlyMap<string, ReadonlyMap<number, string>>,
  ends: ReadonlyMap<string, StoredEvent>,
  wrong: string[],
): void {
  for (const id of expected.acknowledged) {
    // Unknown when the process was killed before the client could read the reply: then one recipient is what is known.
    const to = expected.ledger.acknowledged.get(id)?.to ?? [null]
    for (const [number, path] of to.entries()) {
      const isWaiting = waiting.get(id)?.has(number) === true
      const end = ends.get(`${id}.${number}`)
      if (isWaiting && end !== undefined) wrong.push(`${id}.${number} waits and is ${end.type}`)
      if (!isWaiting && end === undefined) wrong.push(`${id}.${number} was acknowledged and is lost`)
      if (end?.type === 'delivered' && path !== null && !expected.arrived.has(`${id} ${path}`))
        wrong.push(`${id}.${number} is said to be delivered and never came`)
    }
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
