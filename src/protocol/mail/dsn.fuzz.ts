// Fuzz target: failure reports made of remote text, ENVID, ORCPT and header of a message: nothing of it may add a field
// or a part.

import assert from 'node:assert/strict'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { buildDsn, type DsnRequest } from './dsn.ts'
import { countFields, scanHeaderBlock } from './header-block.ts'
import { headerOf, parseMime } from './mime-tree.ts'

/** Line by line: what a peer, a client and the message put in. */
function requestOf(input: Buffer): DsnRequest {
  const [first = '', second = '', third = '', fourth = '', ...rest] = input.toString('utf8').split('\x1e')
  const header = rest
    .join('')
    .replace(/\r(?!\n)|\0/g, '')
    .replace(/(?<!\r)\n/g, '\r\n')
    .split('\r\n')
    // The door takes no more than 1,000 fields.
    .slice(0, 900)
    .join('\r\n')
  return {
    reportingHost: 'mx.sender.test',
    from: 'mailer-daemon@sender.test',
    reversePath: fourth === '' ? 'sender@sender.test' : `${fourth}@sender.test`,
    unique: 'abc123',
    createdAtMs: 1_700_000_000_000,
    arrivedAtMs: 1_700_000_000_000,
    envelopeId: second,
    recipients: [
      {
        forwardPath: `${third}@rcpt.test`,
        originalRecipient: second,
        action: 'failed',
        status: third,
        remoteHost: first.slice(0, 40),
        remoteReply: first,
        reason: third,
        lastAttemptAtMs: 1_700_000_000_000,
      },
    ],
    ret: first.length % 2 === 0 ? 'FULL' : 'HDRS',
    originalHeader: Buffer.from(`${header}\r\n`, 'utf8'),
    originalBody: Buffer.from('the body\r\n'),
  }
}

function check(request: DsnRequest): void {
  const result = buildDsn(request)
  if (result.kind === 'none') return
  const text = result.content.toString('latin1')
  must(!/\r(?!\n)|(?<!\r)\n|\0/.test(text), 'lines end in CRLF and there is no NUL')
  must(
    result.isEightBit || result.isSmtpUtf8 || /^[\x00-\x7f]*$/.test(text),
    'a report that says 7-bit is 7-bit',
  )
  const tree = parseMime(result.content)
  must(tree.kind === 'parsed', 'the report can be followed')
  if (tree.kind !== 'parsed') return
  const { root } = tree
  const names = [
    'from',
    'to',
    'subject',
    'date',
    'message-id',
    'auto-submitted',
    'mime-version',
    'content-type',
  ]
  const found = headerOf(result.content, root)
    .fields.map(field => field.name)
    .filter(name => name !== 'content-transfer-encoding')
  assert.deepEqual(found, names, 'the report has its own fields and no other')
  assert.equal(root.children.length, 3, 'the report has three parts')
  const status = root.children[1]!
  const groups = result.content.toString('latin1', status.bodyStart, status.bodyEnd).split('\r\n\r\n')
  assert.equal(groups.length, 2, 'one group on the message and one on the recipient')
  for (const group of groups) {
    const scan = scanHeaderBlock(Buffer.from(`${group}\r\n`, 'latin1'))
    must(scan.kind === 'scanned' && scan.block.oddities.length === 0, 'status fields are well formed')
    if (scan.kind !== 'scanned') continue
    for (const { name } of scan.block.fields)
      must(countFields(scan.block, name) === 1, `the field ${name} comes once`)
  }
  assert.deepEqual(buildDsn(request), result, 'the same request gives the same bytes')
}

export const target: FuzzTarget = {
  name: 'dsn',
  invariants: [
    'a report has its own header fields, three parts and two groups of status fields, whatever text goes in',
    'lines end in CRLF; without 8BITMIME and SMTPUTF8 it is 7-bit',
    'the same request gives the same bytes',
  ],
  dictionary: [
    '\x1e',
    '\r\n',
    '\r\n\r\n',
    '\nX: y',
    '--=_report-abc123',
    '\r\n--=_report-abc123--\r\n',
    'rfc822;a@b.test',
    'utf-8;\xc3\xa9',
    '550 5.1.1 ',
    '5.1.1',
    '\xe2\x80\xa8',
    '\xc2\x85',
    '\xf0\x9f\x98\x80',
    '\\x{',
    'Subject: x\r\n',
    ' ',
    '   ',
  ],
  seeds: [
    '550 5.1.1 No such user\x1eenv-1\x1euser\x1e\x1eSubject: hello\r\nFrom: a@b.test\r\n',
    '550 x\r\nAction: delivered\x1erfc822;a\r\n\x1e\r\n\r\n--=_report-abc123\x1e\x1e',
    '\xc3\xa9\x1eutf-8;\xc3\xa9\x1e\xc3\xa9\x1e\xc3\xa9\x1eSubject: \xc3\xa9\r\n',
    `${'word '.repeat(300)}\x1e${'x'.repeat(1000)}\x1e\x1e\x1e`,
  ],
  inputBytesMax: 800,
  longBytesMax: 32_768,
  run: input => check(requestOf(input)),
}
