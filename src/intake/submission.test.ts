// Submissions whose disk fails while they end: told as what it is, and nothing of them is kept.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MemoryAccounts } from '../accounts/memory-accounts.ts'
import { IdGenerator, systemClock } from '../base/index.ts'
import { SegmentSpool } from '../store/segments/index.ts'
import { HeldContents } from './held.ts'
import type { DoorFacts, Principal } from './principal.ts'
import { SignatureMaker } from './signing/index.ts'
import { type SubmissionEnvelope, type SubmissionOptions, Submitter } from './submitter.ts'

const options: SubmissionOptions = {
  hostname: 'relay.example',
  headerBytesMax: 128 * 1024,
  headerFieldsMax: 1000,
  inlineBytesMax: 16 * 1024,
  receivedMax: 50,
  longLineBytesMax: 998,
  expireMs: 1_000_000,
}
const door: DoorFacts = {
  door: 'smtp',
  clientAddress: '192.0.2.1',
  helloName: 'client.example',
  isExtended: true,
  tls: '',
  isAuthenticated: false,
  showsClientAddress: false,
}
const envelope: SubmissionEnvelope = {
  reversePath: '',
  isEightBit: false,
  isSmtpUtf8: false,
  ret: '',
  envelopeId: '',
  recipients: [
    {
      number: 0,
      forwardPath: 'bob@there.example',
      domain: 'there.example',
      notify: 8,
      originalRecipient: '',
    },
  ],
}

/** A submitter over this spool, where nothing may be committed, and a principal whose long lines are encoded. */
async function setUp(spool: SegmentSpool) {
  const accounts = new MemoryAccounts()
  const account = await accounts.createAccount(
    { id: 'acc_x', name: 'acme', createdAtMs: 0 },
    { id: 'str_x', name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
  )
  assert.ok(account !== 'exists')
  const memory = HeldContents.allocate()
  const unsigned = { keysFor: () => ({ kind: 'unsigned' }) as const }
  const submitter = new Submitter(
    {
      store: { accept: () => Promise.reject(new Error('nothing may be committed')) },
      spool,
      accounts,
      signatures: new SignatureMaker(unsigned, [], systemClock, null),
      ready: { reserve: () => false, letGo: () => undefined, enqueue: () => undefined },
      held: new HeldContents(memory, 32 * 1024 * 1024),
      ids: new IdGenerator(() => systemClock.nowMs(), randomBytes),
      clock: systemClock,
    },
    options,
  )
  const principal: Principal = {
    account,
    stream: accounts.defaultStream(account.key)!,
    username: '',
    senders: 'any',
    longLines: 'encode',
    bareLf: 'refuse',
  }
  return { submitter, principal, heldBytes: () => new BigInt64Array(memory)[0] }
}

for (const [name, line] of [
  ['as it is', 'y'.repeat(70)],
  ['encoded anew', 'y'.repeat(2000)],
] as const)
  test(`a content that is held to its end and then refused by the disk, ${name}: 452, and nothing of it is kept`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'postrider-submission-'))
    const spool = new SegmentSpool({ dir, thread: 0, nowMs: Date.now, onSealed: () => undefined })
    rmSync(dir, { recursive: true })
    const { submitter, principal, heldBytes } = await setUp(spool)
    const content = Buffer.from(
      `From: Ann <ann@acme.example>\r\n\r\n${`${line}\r\n`.repeat(3_000_000 / line.length)}`,
    )
    const submission = submitter.begin(principal, door, envelope)
    for (let at = 0; at < content.length; at += 65_536)
      await submission.write(content.subarray(at, at + 65_536))
    const result = await submission.end({
      sizeBytes: content.length,
      hasEightBit: false,
      longestLineBytes: line.length,
      hasDotLine: false,
    })
    assert.equal(result.kind === 'refused' && result.code, 'store-failed')
    assert.match(result.kind === 'refused' ? (result.detail ?? '') : '', /ENOENT/)
    assert.equal(heldBytes(), 0n)
    await spool.close()
  })
