import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NewMessage, notifyBits } from '../queue/index.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const plan = planOf('b.test', ['mx.b.test', '127.0.0.1'])
const refusing = {
  onRcpt: (path: string) =>
    path.startsWith('no') ? '550 5.1.1 no such user' : path.startsWith('late') ? '450 4.2.1 later' : '250 ok',
}

function reportsOf(harness: Harness): string[] {
  return harness.settled.flatMap(({ messages }) =>
    messages.map(message =>
      message.content.kind === 'inline' ? Buffer.concat(message.content.parts).toString() : '',
    ),
  )
}

test('a stream that wants DSN mail gets one report a batch, in the commit of its outcomes', async () => {
  await using mx = await startReceiver(refusing)
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['no1@b.test', 'yes@b.test', 'no2@b.test'], { sendsDsn: true, envelopeId: 'env-1' })
  await harness.settledCount(3)
  const reports = reportsOf(harness)
  assert.equal(reports.length, 1)
  assert.match(reports[0]!, /^To: <sender@example.test>\r$/m)
  assert.match(reports[0]!, /Original-Envelope-Id: env-1/)
  assert.equal(reports[0]!.match(/Action: failed/g)?.length, 2)
  assert.match(reports[0]!, /Diagnostic-Code: smtp; 550 5\.1\.1 no such user/)
  assert.match(reports[0]!, /Remote-MTA: dns; mx\.b\.test/)
  const message = harness.settled.flatMap(one => one.messages)[0]!
  assert.equal(message.reversePath, '')
  assert.equal(message.sendsDsn, false)
  assert.equal(message.recipients[0]?.forwardPath, 'sender@example.test')
  assert.equal(message.recipients[0]?.domain, 'example.test')
  await harness.close()
})

test('a thousand refusals of 2,000 octets at once: no report over a mebibyte, and every recipient in one', async () => {
  const words = 'the mailbox is not here '.repeat(83)
  await using mx = await startReceiver({ onRcpt: () => `550 5.1.1 ${words}` })
  let ids = 0
  const reportIdentity = {
    host: 'relay.test',
    from: 'mailer-daemon@relay.test',
    nextId: () => ({ bytes: Buffer.alloc(16, ++ids), text: `report-${ids}` }),
  }
  const harness = new Harness(mx.port, { recipientsPerTransaction: 1000 }, { reportIdentity })
  harness.plans.set('b.test', plan)
  const recipients = Array.from({ length: 1000 }, (_, i) => ({
    forwardPath: `no${i}@b.test`,
    originalRecipient: `rfc822;${'o'.repeat(400)}@b.test`,
  }))
  harness.send(recipients, { sendsDsn: true })
  await harness.settledCount(1000)
  const reports = reportsOf(harness)
  for (const report of reports) assert.ok(report.length <= 1024 * 1024, `${report.length} octets`)
  const named = reports.flatMap(report => [...report.matchAll(/^Final-Recipient: rfc822; (\S+)\r$/gm)])
  assert.deepEqual(named.map(([, address]) => address).sort(), recipients.map(one => one.forwardPath).sort())
  assert.equal(new Set(reports.map(report => /^Message-ID: (.*)\r$/m.exec(report)?.[1])).size, reports.length)
  await harness.close()
})

test('no report: events only, the null reverse-path, NOTIFY=NEVER, NOTIFY without FAILURE', async () => {
  await using mx = await startReceiver(refusing)
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['no1@b.test'], { sendsDsn: false })
  harness.send(['no2@b.test'], { sendsDsn: true, reversePath: '', sentReversePath: '' })
  harness.send([{ forwardPath: 'no3@b.test', notify: notifyBits.never }], { sendsDsn: true })
  harness.send([{ forwardPath: 'no4@b.test', notify: notifyBits.success }], { sendsDsn: true })
  harness.send([{ forwardPath: 'no5@b.test', notify: notifyBits.failure }], { sendsDsn: false })
  await harness.settledCount(5)
  assert.deepEqual(reportsOf(harness), [])
  await harness.close()
})

test('RET decides whether the message or its header comes back', async () => {
  await using mx = await startReceiver(refusing)
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  for (const ret of ['FULL', 'HDRS'] as const) harness.send([`no-${ret}@b.test`], { sendsDsn: true, ret })
  await harness.settledCount(2)
  const [full, headers] = reportsOf(harness).sort((a, b) => b.length - a.length) as [string, string]
  assert.match(full, /Content-Type: message\/rfc822\r\n\r\nReceived: from here\r\nSubject: hello\r\n\r\nbody/)
  assert.match(headers, /Content-Type: text\/rfc822-headers/)
  assert.ok(!headers.includes('\r\nbody\r\n'))
  await harness.close()
})

test('a report whose original cannot be read goes out without it', async () => {
  await using mx = await startReceiver(refusing)
  const noDescriptors = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
  let reads = 0
  const harness: Harness = new Harness(
    mx.port,
    {},
    {
      content: {
        readPrefix: key => harness.prefixes.get(key) ?? null,
        // The attempt reads it, the report does not get it.
        readContent: key =>
          reads++ === 0 ? Promise.resolve(harness.contents.get(key) ?? null) : Promise.reject(noDescriptors),
        openContent: () => assert.fail('small contents are read whole'),
      },
    },
  )
  harness.plans.set('b.test', plan)
  harness.send(['no@b.test'], { sendsDsn: true, isStored: true })
  await harness.settledCount(1)
  const [report] = reportsOf(harness)
  assert.match(report ?? '', /Action: failed/)
  assert.match(report ?? '', /^Received: from here\r$/m)
  assert.deepEqual(harness.faults, [noDescriptors])
  await harness.close()
})

test('while reports wait for the disk they are made without the original', async () => {
  await using mx = await startReceiver(refusing)
  let isCrowded = true
  const harness = new Harness(mx.port, {}, { areReportsCrowded: () => isCrowded })
  harness.plans.set('b.test', plan)
  harness.send(['no1@b.test'], { sendsDsn: true, ret: 'FULL', isStored: true })
  await harness.settledCount(1)
  isCrowded = false
  harness.send(['no2@b.test'], { sendsDsn: true, ret: 'FULL', isStored: true })
  await harness.settledCount(2)
  const [small, whole] = reportsOf(harness)
  for (const report of [small, whole]) assert.match(report ?? '', /Action: failed/)
  assert.ok(!small?.includes('Subject: hello'))
  assert.match(whole ?? '', /Subject: hello\r\n\r\nbody/)
  assert.deepEqual(harness.faults, [])
  await harness.close()
})

test('DSN parameters go on to a peer with DSN, which then reports itself', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'DSN'] })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  const recipient = {
    forwardPath: 'to@b.test',
    notify: notifyBits.success | notifyBits.failure,
    originalRecipient: 'rfc822;first@b.test',
  }
  harness.send([recipient], { sendsDsn: true, ret: 'HDRS', envelopeId: 'e+1' })
  await harness.settledCount(1)
  assert.match(mx.messages[0]!.mail, / RET=HDRS/)
  assert.match(mx.messages[0]!.mail, / ENVID=e\+2B1/)
  assert.match(mx.messages[0]!.rcptLines[0]!, / NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@b\.test/)
  assert.deepEqual(reportsOf(harness), [])
  await harness.close()
})

test('NOTIFY=SUCCESS to a peer without DSN makes a report that says relayed, with the header alone', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  const recipient = { forwardPath: 'to@b.test', notify: notifyBits.success }
  harness.send([recipient], { sendsDsn: true, ret: 'FULL' })
  await harness.settledCount(1)
  assert.match(reportsOf(harness)[0]!, /Action: relayed/)
  assert.match(reportsOf(harness)[0]!, /Status: 2\.0\.0/)
  assert.match(reportsOf(harness)[0]!, /text\/rfc822-headers\r\n\r\nReceived: from here\r\n/)
  assert.ok(!mx.messages[0]!.rcptLines[0]!.includes('NOTIFY'))
  await harness.close()
})

test('delay notices are off by default, and with the option come once', async () => {
  await using mx = await startReceiver(refusing)
  for (const { delayNoticeAfterMs, notified, count } of [
    { delayNoticeAfterMs: null, notified: false, count: 0 },
    { delayNoticeAfterMs: 3_600_000, notified: false, count: 1 },
    { delayNoticeAfterMs: 3_600_000, notified: true, count: 0 },
  ]) {
    const harness = new Harness(mx.port, { delayNoticeAfterMs })
    harness.plans.set('b.test', plan)
    harness.send([{ forwardPath: 'late@b.test', isDelayNotified: notified }], {
      sendsDsn: true,
      acceptedAtMs: harness.nowMs - 7_200_000,
    })
    await harness.settledCount(1)
    assert.equal(reportsOf(harness).length, count)
    if (count > 0) assert.match(reportsOf(harness)[0]!, /Action: delayed/)
    assert.equal(harness.settled[0]!.settlement.isDelayNotified, count > 0 || notified)
    await harness.close()
  }
})

test('an expired recipient is reported as failed with the last reply', async () => {
  await using mx = await startReceiver(refusing)
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['late@b.test'], { sendsDsn: true, expiresAtMs: harness.nowMs })
  await harness.settledCount(1)
  const [report] = reportsOf(harness)
  assert.match(report!, /Action: failed/)
  assert.match(report!, /Status: 5\.4\.7/)
  assert.match(report!, /Diagnostic-Code: smtp; 450 4\.2\.1 later/)
  await harness.close()
})

test('a failure report does not claim that nothing arrived when the last attempt got no answer to the content', async () => {
  await using mx = await startReceiver({ onEnd: () => 'drop' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['to@b.test'], { sendsDsn: true, expiresAtMs: harness.nowMs })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.isUncertain], ['expired', true])
  const text = reportsOf(harness)[0]?.replace(/\s+/g, ' ') ?? ''
  assert.match(text, /Action: failed/)
  assert.match(text, /it may have been delivered/)
  assert.doesNotMatch(text, /was not delivered|Try again later/)
  await harness.close()
})

test('a report that cannot be made costs no outcome', async () => {
  await using mx = await startReceiver(refusing)
  const harness = new Harness(mx.port, {}, { makeReport: () => Promise.reject(new Error('no keys')) })
  harness.plans.set('b.test', plan)
  harness.send(['no@b.test'], { sendsDsn: true })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['no@b.test bounced'])
  await harness.close()
  assert.equal(harness.settled.length, 1)
})

test('only so many reports are made at once, and those that wait are made, too', async () => {
  const underWay: (() => void)[] = []
  let most = 0
  const makeReport = () => {
    const { promise, reject } = Promise.withResolvers<NewMessage>()
    underWay.push(() => reject(new Error('not made')))
    most = Math.max(most, underWay.length)
    return promise
  }
  const harness = new Harness(1, {}, { makeReport })
  for (let i = 0; i < 200; i++)
    harness.send([`to${i}@b.test`], { sendsDsn: true, expiresAtMs: harness.nowMs - 61_000 })
  for (let turn = 0; turn < 1_000 && harness.settled.length < 200; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    underWay.shift()?.()
  }
  assert.equal(harness.settled.length, 200)
  assert.equal(most, 32)
  await harness.close()
  assert.equal(harness.room.recipients, 0)
})
