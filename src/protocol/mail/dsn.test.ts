import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { buildDsn, type DsnAction, type DsnRecipient, type DsnRequest } from './dsn.ts'
import { scanHeaderBlock } from './header-block.ts'

const atMs = Date.UTC(2026, 10, 23, 8, 0, 0)
const failed: DsnRecipient = {
  forwardPath: 'bob@dest.test',
  originalRecipient: 'rfc822;Bob+x@dest.test',
  action: 'failed',
  status: '5.1.1',
  remoteHost: 'mx.dest.test',
  remoteReply: '550 5.1.1 No such user here',
  reason: '',
  lastAttemptAtMs: atMs,
}
const base: DsnRequest = {
  reportingHost: 'mx.relay.test',
  from: 'mailer-daemon@relay.test',
  reversePath: 'alice@example.test',
  unique: 'msg0123456789',
  createdAtMs: atMs,
  arrivedAtMs: atMs - 60_000,
  envelopeId: 'QQ-1 =x',
  recipients: [failed],
  ret: '',
  originalHeader: Buffer.from('From: Alice <alice@example.test>\r\nSubject: lunch\r\n\r\n'),
}

function build(change: Partial<DsnRequest>): { content: Buffer; isEightBit: boolean; isSmtpUtf8: boolean } {
  const result = buildDsn({ ...base, ...change })
  if (result.kind !== 'built') throw new Error(result.why)
  return result
}

const parseScript = `
import sys, json, email, email.policy
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
report, status, returned = mail.iter_parts()
def text(part):
    payload = part.get_payload(decode=True)
    return payload.decode() if payload is not None else part.get_payload()[0].as_bytes().decode()
print(json.dumps({
    'type': mail.get_content_type(), 'reportType': mail.get_param('report-type'),
    'fields': [[name, str(value)] for name, value in mail.items()],
    'defects': [str(defect) for part in mail.walk() for defect in part.defects],
    'text': text(report),
    'statusType': status.get_content_type(),
    'groups': [[[name, ' '.join(str(value).split())] for name, value in group.items()] for group in status.get_payload()]
        if isinstance(status.get_payload(), list) else text(status),
    'returnedType': returned.get_content_type(), 'returned': text(returned),
}))
`

interface Parsed {
  type: string
  reportType: string
  fields: [string, string][]
  defects: string[]
  text: string
  statusType: string
  groups: [string, string][][]
  returnedType: string
  returned: string
}

/** The report as Python's email package reads it. */
function parse(content: Buffer): Parsed {
  return JSON.parse(execFileSync('python3', ['-c', parseScript], { input: content }).toString()) as Parsed
}

test('a failure report is read by Python with every field in its place', () => {
  const { content, isEightBit, isSmtpUtf8 } = build({})
  assert.deepEqual([isEightBit, isSmtpUtf8], [false, false])
  const parsed = parse(content)
  assert.deepEqual(
    [parsed.type, parsed.reportType, parsed.defects],
    ['multipart/report', 'delivery-status', []],
  )
  const fields = new Map(parsed.fields)
  assert.equal(fields.get('To'), 'alice@example.test')
  assert.equal(fields.get('From'), 'Mail delivery <mailer-daemon@relay.test>')
  assert.equal(fields.get('Auto-Submitted'), 'auto-replied')
  assert.equal(fields.get('Subject'), 'Message not delivered (delivery report)')
  assert.deepEqual(parsed.groups[0], [
    ['Original-Envelope-Id', 'QQ-1 =x'],
    ['Reporting-MTA', 'dns; mx.relay.test'],
    ['Arrival-Date', 'Mon, 23 Nov 2026 07:59:00 +0000'],
  ])
  assert.deepEqual(parsed.groups[1], [
    ['Original-Recipient', 'rfc822; Bob+x@dest.test'],
    ['Final-Recipient', 'rfc822; bob@dest.test'],
    ['Action', 'failed'],
    ['Status', '5.1.1'],
    ['Remote-MTA', 'dns; mx.dest.test'],
    ['Diagnostic-Code', 'smtp; 550 5.1.1 No such user here'],
    ['Last-Attempt-Date', 'Mon, 23 Nov 2026 08:00:00 +0000'],
  ])
  assert.equal(parsed.returnedType, 'text/rfc822-headers')
  assert.match(parsed.returned, /Subject: lunch/)
  assert.match(
    parsed.text,
    /bob@dest\.test\s+The server mx\.dest\.test answered: 550 5\.1\.1 No such user here/,
  )
  assert.match(parsed.text, /Check the address/)
})

test('postal-mime finds the text and both attachments', async () => {
  const mail = await PostalMime.parse(build({}).content)
  assert.match(mail.text ?? '', /was not delivered/)
  const types = mail.attachments.map(attachment => attachment.mimeType)
  assert.deepEqual(types, ['message/delivery-status', 'text/rfc822-headers'])
})

test('several recipients with several actions: a group each, and the subject is that of the worst', () => {
  const delayed: DsnRecipient = {
    ...failed,
    forwardPath: 'slow@dest.test',
    originalRecipient: '',
    action: 'delayed',
    status: '4.4.1',
    remoteHost: '',
    remoteReply: '',
    reason: 'The server did not answer.',
    willRetryUntilMs: atMs + 86_400_000,
  }
  const others = (['delivered', 'relayed', 'expanded'] as const).map(action => {
    return { ...failed, action, status: '2.1.5', remoteReply: '250 2.1.5 fine' }
  })
  const parsed = parse(build({ recipients: [delayed, ...others] }).content)
  const groups = parsed.groups.map(group => new Map(group))
  assert.deepEqual(
    groups.slice(1).map(group => group.get('Action')),
    ['delayed', 'delivered', 'relayed', 'expanded'],
  )
  assert.equal(groups[1]?.get('Will-Retry-Until'), 'Tue, 24 Nov 2026 08:00:00 +0000')
  assert.equal(groups[1]?.has('Diagnostic-Code'), false)
  assert.match(
    parsed.text,
    /slow@dest\.test\s+The server did not answer\.\s+It will be tried again until Tue, 24 Nov/,
  )
  assert.equal(new Map(parsed.fields).get('Subject'), 'Message delayed (delivery report)')
})

test('of a failure that is uncertain the report says so, apart from those that are sure', () => {
  const uncertain: DsnRecipient = {
    ...failed,
    forwardPath: 'ann@dest.test',
    status: '5.4.7',
    remoteReply: '',
    reason: 'The message could not be delivered in the time it had.',
    isUncertain: true,
  }
  const said = (recipients: readonly DsnRecipient[]): readonly [string, string] => {
    const { fields, text } = parse(build({ recipients }).content)
    return [new Map(fields).get('Subject') ?? '', text.replace(/\s+/g, ' ')]
  }
  const [subject, text] = said([uncertain])
  assert.equal(subject, 'Message perhaps not delivered (delivery report)')
  assert.match(text, /It is not known whether your message was delivered to these addresses\./)
  assert.match(
    text,
    /ann@dest\.test .* it may have been delivered\. Ask the recipient before you send it again\./,
  )
  assert.doesNotMatch(text, /was not delivered|Try again later/)
  const [subjectOfBoth, both] = said([uncertain, failed])
  assert.equal(subjectOfBoth, 'Message not delivered (delivery report)')
  assert.match(
    both,
    /was not delivered to these addresses, .*: bob@dest\.test .* It is not known .*: ann@dest\.test /,
  )
  const [, late] = said([{ ...uncertain, action: 'delayed', status: '4.4.2' }])
  assert.match(late, /has not been delivered to these addresses yet\. .* ann@dest\.test /)
})

test('the null reverse-path and an unsafe one get no report', () => {
  assert.deepEqual(buildDsn({ ...base, reversePath: '' }), { kind: 'none', why: 'null-reverse-path' })
  assert.deepEqual(buildDsn({ ...base, recipients: [] }), { kind: 'none', why: 'no-recipients' })
  const unsafe = buildDsn({ ...base, reversePath: 'a@b.test>\r\nBcc: x@evil.test' })
  assert.deepEqual(unsafe, { kind: 'none', why: 'unsafe-reverse-path' })
})

test('the same request gives the same bytes', () => {
  assert.deepEqual(build({}).content, build({}).content)
})

test('RET=FULL returns the content while it is small, and the header alone above the cap', () => {
  const full = { ret: 'FULL', originalBody: Buffer.from('Hello\r\n') } as const
  const small = parse(build(full).content)
  assert.equal(small.returnedType, 'message/rfc822')
  assert.match(small.returned, /Subject: lunch\r?\n\r?\nHello/)
  assert.equal(parse(build({ ...full, contentBytesMax: 20 }).content).returnedType, 'text/rfc822-headers')
  assert.equal(parse(build({ ...full, ret: 'HDRS' }).content).returnedType, 'text/rfc822-headers')
  assert.equal(parse(build({ ret: 'FULL' }).content).returnedType, 'text/rfc822-headers')
})

test('RET=FULL returns the header alone where nothing failed', () => {
  const returnedType = (...actions: readonly DsnAction[]): string => {
    const recipients = actions.map(action => ({ ...failed, action }))
    const { content } = build({ ret: 'FULL', originalBody: Buffer.from('Hello\r\n'), recipients })
    return parse(content).returnedType
  }
  for (const action of ['delayed', 'delivered', 'relayed', 'expanded'] as const)
    assert.equal(returnedType(action), 'text/rfc822-headers', action)
  assert.equal(returnedType('relayed', 'failed'), 'message/rfc822')
})

test('the returned header is cut at whole fields', () => {
  const originalHeader = Buffer.from(`A: 1\r\nB: ${'x'.repeat(50)}\r\n y\r\nC: 3\r\n\r\n`)
  const parsed = parse(build({ originalHeader, headerBytesMax: 30 }).content)
  assert.equal(parsed.returned.trim(), 'A: 1')
})

test('an 8-bit body is returned as it is and declared; an 8-bit header is returned encoded as message/global', () => {
  const originalBody = Buffer.from('grün\r\n')
  const eight = build({ ret: 'FULL', originalBody })
  assert.equal(eight.isEightBit, true)
  assert.match(eight.content.toString(), /boundary="[^"]+"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n/)
  assert.ok(eight.content.includes(originalBody))
  const originalHeader = Buffer.from('Subject: grün\r\n\r\n')
  for (const ret of ['FULL', 'HDRS'] as const) {
    const global = build({ ret, originalBody, originalHeader })
    assert.deepEqual([global.isEightBit, global.isSmtpUtf8], [false, false])
    assert.match(global.content.toString('latin1'), /^[\t\r\n\x20-\x7e]*$/)
    assert.match(
      global.content.toString(),
      /message\/global(-headers)?\r\n.*quoted-printable\r\n\r\nSubject: gr=C3=BCn/s,
    )
  }
})

test('UTF-8 addresses are written out for an ASCII sender and stay as they are for a UTF-8 sender', () => {
  const recipients = [{ ...failed, forwardPath: 'при+м@dest.test', originalRecipient: 'utf-8;при@dest.test' }]
  const ascii = build({ recipients })
  assert.equal(ascii.isEightBit, false)
  const groups = parse(ascii.content).groups
  const fields = new Map(groups[1])
  assert.equal(fields.get('Final-Recipient'), 'utf-8; \\x{43F}\\x{440}\\x{438}\\x{2B}\\x{43C}@dest.test')
  assert.equal(fields.get('Original-Recipient'), 'utf-8; \\x{43F}\\x{440}\\x{438}@dest.test')
  const utf8 = build({ recipients, reversePath: 'алиса@example.test' })
  assert.deepEqual([utf8.isEightBit, utf8.isSmtpUtf8], [true, true])
  assert.match(utf8.content.toString(), /message\/global-delivery-status\r\nContent-Transfer-Encoding: 8bit/)
  assert.match(utf8.content.toString(), /Final-Recipient: utf-8; при\+м@dest\.test\r\n/)
})

const payloads = [
  '\r\nBcc: x@evil',
  '\nX: y',
  '\r',
  '\0',
  '\x0b',
  '\x85',
  '\u2028',
  '\ud800',
  'a'.repeat(1_000_000),
]
for (const payload of [...payloads, '\r\n\r\n--=_report-msg0123456789\r\n']) {
  test(`no text from elsewhere adds a field or a part: ${JSON.stringify(payload.slice(0, 20))}`, () => {
    const evil = `x${payload}y`
    const recipient = {
      ...failed,
      forwardPath: `${evil}@d.test`,
      originalRecipient: `rfc822;${evil}`,
      status: evil,
    }
    const { content } = build({
      reportingHost: evil,
      from: evil,
      unique: evil,
      envelopeId: evil,
      recipients: [{ ...recipient, remoteHost: evil, remoteReply: `550 ${evil}`, reason: evil }],
    })
    const parsed = parse(content)
    assert.equal(parsed.fields.length, 8)
    assert.equal(parsed.groups.length, 2)
    assert.deepEqual([parsed.groups[0]?.length, parsed.groups[1]?.length], [3, 7])
    assert.equal(new Map(parsed.groups[1]).get('Status'), '5.0.0')
    for (const line of content.toString('latin1').split('\r\n')) {
      assert.ok(line.length <= 998)
      assert.match(line, /^[\t\x20-\x7e]*$/)
    }
  })
}

test('a content that knows the boundary cannot use it', () => {
  const boundary = '=_report-msg0123456789'
  const parsed = parse(
    build({ ret: 'FULL', originalBody: Buffer.from(`--${boundary}--\r\nmore\r\n`) }).content,
  )
  assert.match(parsed.returned, /more/)
})

test('any remote text gives a clean header and exactly three parts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async remoteReply => {
      const { content } = build({ recipients: [{ ...failed, remoteReply, reason: remoteReply }] })
      const mail = await PostalMime.parse(content)
      assert.equal(mail.attachments.length, 2)
      const headerEnd = content.indexOf('\r\n\r\n') + 4
      const scan = scanHeaderBlock(content.subarray(0, headerEnd))
      assert.equal(scan.kind === 'scanned' && scan.block.fields.length, 8)
    }),
  )
})
