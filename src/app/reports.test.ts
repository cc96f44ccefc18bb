// A report on mail is not lost because it cannot be signed at once.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { ReportDraft } from '../delivery/index.ts'
import { SignatureMaker } from '../intake/index.ts'
import type { DkimKey } from '../protocol/auth/dkim/index.ts'
import { type LeasedMessage, leasedFrom, type NewMessage } from '../queue/index.ts'
import { createLog } from '../telemetry/index.ts'
import { makeReport } from './reports.ts'
import { Resign } from './resign.ts'

const content = Buffer.from(
  [
    'From: mailer-daemon@relay.example',
    'To: <ann@acme.example>',
    'Subject: Undelivered',
    'Message-ID: <r@relay.example>',
    '',
    'It did not go.',
    '',
  ].join('\r\n'),
)
const draft: ReportDraft = {
  cause: { accountKey: 1, streamKey: 2, reversePath: 'ann@acme.example' } as LeasedMessage,
  id: Buffer.alloc(16, 7),
  content,
  isEightBit: false,
  isSmtpUtf8: false,
  createdAtMs: 1_800_000_000_000,
}
const key: DkimKey = {
  domain: 'relay.example',
  selector: 'op1',
  algorithm: 'ed25519-sha256',
  privateKey: generateKeyPairSync('ed25519').privateKey,
}

async function made(
  keys: readonly DkimKey[],
  of: ReportDraft = draft,
): Promise<{ report: NewMessage; told: Error[] }> {
  const told: Error[] = []
  const report = await makeReport(of, keys, 1000, error => void told.push(error))
  return { report, told }
}

test('a report is signed when the operator has a key, and goes unsigned when there is none', async () => {
  const signed = await made([key])
  assert.match(signed.report.prefix.toString(), /^DKIM-Signature: /)
  const unsigned = await made([])
  assert.equal(unsigned.report.prefix.length, 0)
  for (const { report, told } of [signed, unsigned]) {
    assert.equal(report.isUnsigned, undefined)
    assert.deepEqual(told, [])
  }
})

test('a report that cannot be signed is stored all the same, to be signed at its attempt, and that is told', async () => {
  const noHeader = Buffer.from('\0\r\n\r\nIt did not go.\r\n')
  for (const [keys, of] of [
    [[{ ...key, algorithm: 'rsa-sha256' }], draft],
    [[key], { ...draft, content: noHeader }],
  ] as const) {
    const { report, told } = await made(keys, of)
    assert.equal(report.isUnsigned, true)
    assert.deepEqual([report.startState, report.startReason], ['scheduled', 'unsigned'])
    assert.deepEqual(report.recipients[0]?.forwardPath, 'ann@acme.example')
    assert.equal(report.prefix.length, 0)
    assert.match(String(told[0]), /signed at its attempt/)
  }
})

test('at its attempt the operator’s key signs it', async () => {
  const { report } = await made([{ ...key, algorithm: 'rsa-sha256' }])
  const clock = { nowMs: () => 1_800_000_000_000, monotonicMs: () => 0 }
  const signatures = new SignatureMaker({ keysFor: () => ({ kind: 'unsigned' }) }, [key], clock, null)
  const lines: string[] = []
  const log = createLog({ level: 'debug', output: { write: line => lines.push(line) } })
  const bodyAt = content.indexOf('\r\n\r\n') + 4
  const prefix = await new Resign(signatures, log, clock).resign(
    leasedFrom(report, 1),
    content.subarray(0, bodyAt),
    [content.subarray(bodyAt)],
  )
  assert.deepEqual(lines, [])
  assert.match(String(prefix), /^DKIM-Signature: .*d=relay\.example/s)
})

test('a queue full of mail that cannot be signed again writes a bounded number of lines', async () => {
  const { report } = await made([key])
  const clock = { nowMs: () => 1_800_000_000_000, atMs: 0, monotonicMs: () => clock.atMs }
  const signatures = new SignatureMaker({ keysFor: () => ({ kind: 'unsigned' }) }, [key], clock, null)
  const lines: string[] = []
  const log = createLog({ level: 'info', output: { write: line => lines.push(line) } })
  const resign = new Resign(signatures, log, clock)
  const noFrom = Buffer.from('Subject: Undelivered\r\n\r\n')
  for (let at = 0; at < 100; at++) assert.equal(await resign.resign(leasedFrom(report, at), noFrom, []), null)
  assert.equal(lines.length, 20)
  clock.atMs = 10_000
  assert.equal(await resign.resign(leasedFrom(report, 100), noFrom, []), null)
  const { event, id, reason, leftOut } = JSON.parse(lines[20]!)
  assert.deepEqual([event, reason, leftOut], ['message.rejected', 'signing-failed', 80])
  assert.match(id, /^msg_/)
})
