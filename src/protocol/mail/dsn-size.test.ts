// Reports on very many recipients with very long texts: everybody is named, and no report is too large.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildDsn, type DsnRecipient, type DsnRequest } from './dsn.ts'
import { dsnBytesMax, dsnPortions, dsnTextBytesMax } from './dsn-size.ts'

const atMs = Date.UTC(2026, 10, 27, 8, 0, 0)
const failed: DsnRecipient = {
  forwardPath: 'bob@dest.test',
  originalRecipient: '',
  action: 'failed',
  status: '5.1.1',
  remoteHost: 'mx.dest.test',
  remoteReply: '550 5.1.1 No such user here',
  reason: '',
  lastAttemptAtMs: atMs,
}
const originalBody = Buffer.from(`${'x'.repeat(98)}\r\n`.repeat(2500))
const request: DsnRequest = {
  reportingHost: 'mx.relay.test',
  from: 'mailer-daemon@relay.test',
  reversePath: 'alice@example.test',
  unique: 'msg0123456789',
  createdAtMs: atMs,
  arrivedAtMs: atMs,
  envelopeId: '',
  recipients: [],
  ret: 'FULL',
  originalHeader: Buffer.from('From: Alice <alice@example.test>\r\nSubject: lunch\r\n\r\n'),
  originalBody,
}

/** The reports on all of them: their fields unfolded. */
function reportsOn(recipients: readonly DsnRecipient[], change: Partial<DsnRequest> = {}): string[] {
  return dsnPortions(recipients).map(portion => {
    const built = buildDsn({ ...request, ...change, recipients: portion })
    assert.ok(built.kind === 'built')
    assert.ok(built.content.length <= dsnBytesMax, `${built.content.length} octets`)
    for (const line of built.content.toString('latin1').split('\r\n')) assert.ok(line.length <= 998)
    return built.content.toString().replaceAll(/\r\n (?! )/g, ' ')
  })
}

const many = (count: number, change: (number: number) => Partial<DsnRecipient>): DsnRecipient[] =>
  Array.from({ length: count }, (_, number) => ({ ...failed, ...change(number) }))

function assertAllNamed(recipients: readonly DsnRecipient[], reports: readonly string[]): void {
  const named = reports.flatMap(text => [...text.matchAll(/^Final-Recipient: [\w-]+; +(\S+)\r$/gm)])
  assert.deepEqual(
    named.map(([, address]) => address),
    recipients.map(one => one.forwardPath),
  )
  const groups = reports.flatMap(text => [...text.matchAll(/^Action: failed\r\nStatus: 5\.1\.1\r$/gm)])
  assert.equal(groups.length, recipients.length)
}

test('1,000 recipients with replies of 2,000 octets: each is named with its code, and what is returned fits too', () => {
  const recipients = many(1000, number => ({
    forwardPath: `user${number}@dest.test`,
    originalRecipient: `rfc822;${'o'.repeat(380)}${number}@elsewhere.test`,
    remoteReply: `550 5.1.1 ${'no such user here '.repeat(110)}`,
  }))
  const reports = reportsOn(recipients)
  assertAllNamed(recipients, reports)
  assert.ok(reports.length > 1 && reports.length < 5, `${reports.length} reports`)
  for (const { forwardPath, originalRecipient } of recipients) {
    // For people, and for programs with the address that the sender gave.
    const report = reports.find(text => text.includes(`\r\n\r\n  ${forwardPath}\r\n`))!
    assert.ok(report.includes(`Original-Recipient: ${originalRecipient.replace(';', '; ')}\r\n`))
  }
  for (const text of reports) {
    assert.ok(text.includes(originalBody.toString('latin1')))
    const codes = text.match(/^Diagnostic-Code: smtp; 550 5\.1\.1 no such user here/gm)?.length
    assert.equal(codes, text.match(/^Final-Recipient: /gm)?.length)
  }
})

test('the longest names, hosts, reasons and replies there can be, all of them UTF-8: each report fits', () => {
  const recipients = many(1000, number => ({
    forwardPath: `${String(number).padStart(4, '0')}${'é'.repeat(119)}@dest.test`,
    originalRecipient: `utf-8;${'é'.repeat(240)}`,
    remoteHost: `${'x'.repeat(62)}.`.repeat(4).slice(0, 253),
    remoteReply: `550 5.1.1 ${'ない '.repeat(700)}`,
    reason: 'ない '.repeat(200),
    isUncertain: number % 2 === 0,
  }))
  const originalHeader = Buffer.from(`Subject: é\r\n${`X: ${'é'.repeat(400)}\r\n`.repeat(310)}\r\n`)
  const bodies = [originalBody, Buffer.from('é'.repeat(1000))]
  for (const body of bodies)
    for (const reversePath of ['alice@example.test', 'élise@example.test']) {
      const reports = reportsOn(recipients, { reversePath, originalHeader, originalBody: body })
      const finals = reports.flatMap(text => text.match(/^Final-Recipient: utf-8; \d{4}/gm) ?? [])
      assert.equal(new Set(finals).size, 1000)
    }
})

test('a reply is cut only where all together are too long, and then the long ones are', () => {
  const long = 'x'.repeat(850)
  const few = many(70, () => ({ remoteReply: `550 ${long}` }))
  for (const text of reportsOn(few))
    assert.equal(text.match(/^Diagnostic-Code: smtp; 550 x{850}\r$/gm)?.length, 70)
  const mostShort = many(600, number => ({
    remoteReply: number === 7 ? `550 ${long}` : `550 ${'y'.repeat(60)}`,
  }))
  const text = reportsOn(mostShort).join('')
  assert.equal(text.match(/^Diagnostic-Code: smtp; 550 y{60}\r$/gm)?.length, 599)
  assert.match(text, /^Diagnostic-Code: smtp; 550 x{850}\r$/m)
  assert.equal(dsnTextBytesMax(many(5000, () => ({ remoteReply: long }))), 40)
})

test('recipients that one report can name are in one', () => {
  assert.deepEqual(
    dsnPortions(many(400, () => ({}))).map(portion => portion.length),
    [400],
  )
  assert.deepEqual(dsnPortions([]), [])
})
