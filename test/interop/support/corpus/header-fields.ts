// Header fields that some server has an opinion about: it fills them in, rewrites them, takes them out or acts on them.

import { raw, type Sample, sample, standard, text } from './sample.ts'

const body = text('text')
const { from, to, subject, date, messageId } = standard('replaced')

/** One of the usual fields in another form. */
function instead(name: string, line: readonly string[], of: keyof ReturnType<typeof standard>): Sample {
  const fields = Object.entries(standard(name)).flatMap(([key, usual]) => (key === of ? line : [usual]))
  return raw(name, fields, body)
}

function hops(count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    [
      `Received: from a${index}.example (a${index}.example [192.0.2.${index}])`,
      `\tby b${index}.example with ESMTPS id ${index};`,
      '\tMon, 23 Nov 2026 09:00:00 +0000',
    ].join('\r\n'),
  )
}

const recipients = Array.from({ length: 500 }, (_, index) => ` user${index}@there.example,`)

export const headerFields: readonly Sample[] = [
  raw('twenty hops before us', [...hops(20), from, to, subject, date, messageId], body),
  sample('hops below the other fields', body, hops(3)),
  sample('a return path and an envelope', body, [
    'Return-Path: <eve@elsewhere.example>',
    'Envelope-To: bob@there.example',
    'Delivery-Date: Mon, 23 Nov 2026 10:00:00 +0000',
    'X-Original-To: bob@there.example',
    'Delivered-To: somebody@there.example',
  ]),
  sample('marks of mailboxes', body, [
    'Content-Length: 3',
    'Lines: 1',
    'Status: RO',
    'X-Status: A',
    'X-UID: 17',
  ]),
  sample('resent twice', body, [
    'Resent-From: ann@acme.example',
    'Resent-To: carol@there.example',
    'Resent-Date: Tue, 24 Nov 2026 10:00:00 +0000',
    'Resent-Message-ID: <resent@acme.example>',
    'Resent-From: Ann <ann@acme.example>',
    'Resent-To: dave@there.example',
  ]),
  sample('sender and many reply addresses', body, [
    'Sender: desk@acme.example',
    'Reply-To: a@acme.example, "B, b" <b@acme.example>,',
    '\tc@acme.example',
  ]),
  sample('old wishes for receipts', body, [
    'Return-Receipt-To: ann@acme.example',
    'Errors-To: ann@acme.example',
    'Disposition-Notification-To: Ann <ann@acme.example>',
    'X-Confirm-Reading-To: ann@acme.example',
    'Apparently-To: bob@there.example',
    'Precedence: bulk',
    'Priority: urgent',
    'Importance: high',
  ]),
  sample('fields that sendmail fills in', body, [
    'Full-Name: Ann Example',
    'Via: nowhere',
    'Mail-From: elsewhere',
  ]),
  sample('fields of mailing lists', body, [
    'List-Id: "Friends, and others" <friends.acme.example>',
    'List-Unsubscribe: <https://acme.example/u?a=1&b=2>,',
    ' <mailto:leave@acme.example?subject=leave>',
    'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    'List-Post: NO (announcements only)',
    'X-Loop: friends@acme.example',
  ]),
  sample('marks of machines', body, [
    'Auto-Submitted: auto-generated',
    'X-Auto-Response-Suppress: All',
    'Feedback-ID: 1:2:3:acme',
  ]),
  sample('results and seals of others', body, [
    'Authentication-Results: mx.elsewhere.example; dkim=pass header.d=elsewhere.example; spf=fail',
    'ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none; d=elsewhere.example; s=s; b=AAAA',
    'ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=elsewhere.example; s=s; h=from; bh=AAAA; b=AAAA',
    'ARC-Authentication-Results: i=1; mx.elsewhere.example; none',
    'Received-SPF: fail (elsewhere) client-ip=192.0.2.1',
  ]),
  sample('unfoldable encoded words', body, [
    'X-Q: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?UTF-8?b?5L2g5aW9?=',
    'X-Broken: =?utf-8?q?never ends',
    'X-Unknown: =?x-martian?z?aaa?=',
    'X-Newline: =?utf-8?q?a=0D=0ABcc:_eve=40evil.example?=',
  ]),
  sample('parameters in parts and in other languages', body, [
    "Content-Disposition: inline; filename*0*=utf-8''%e4%bd%a0; filename*1*=%e5%a5%bd;",
    ' filename="fallback; \\"quoted\\".txt"',
  ]),
  instead('a group without members', ['To: undisclosed-recipients:;'], 'to'),
  instead(
    'a group with members',
    ['To: Friends: bob@there.example, "C" <carol@there.example>;, dave@there.example'],
    'to',
  ),
  instead(
    'five hundred recipients in one field',
    ['To: bob@there.example,', ...recipients, ' last@there.example'],
    'to',
  ),
  instead('recipients without domains', ['To: bob, root, "somebody else"'], 'to'),
  instead(
    'recipients in odd forms',
    [
      'To: "quoted local"@there.example, <@relay.example:bob@there.example>,',
      ' bob@[192.0.2.1], (comment) carol (more) @ there . example,',
      ' =?utf-8?q?J=C3=BCrgen?= <juergen@there.example>,',
      ' "Last, First" <last@THERE.example>,,',
    ],
    'to',
  ),
  instead(
    'From with quotes, a comment and no blank',
    ['From:"Example, Ann \\"A\\""<ann@acme.example>(desk)'],
    'from',
  ),
  instead('From without a name, in capitals', ['FROM: ANN@ACME.EXAMPLE'], 'from'),
  instead('From folded at every blank', ['From: "Ann', ' Example"', '\t<ann@acme.example>'], 'from'),
  instead('From with an encoded name', ['From: =?utf-8?q?=C3=84nn?= <ann@acme.example>'], 'from'),
  instead('an empty subject', ['Subject:'], 'subject'),
  instead('a subject of 900 letters in one line', [`Subject: ${'s'.repeat(900)}`], 'subject'),
  instead(
    'a subject of folds and blanks',
    ['Subject:   two  spaces', ' \t and   three  ', '\ttabs\tinside'],
    'subject',
  ),
  instead('a date of another age', ['Date: Mon, 23 Nov 26 10:00 EST (comment)'], 'date'),
  instead('a date that is none', ['Date: yesterday, about noon'], 'date'),
  instead('a message id without brackets', ['Message-ID: no-brackets@acme.example'], 'messageId'),
  instead('a message id of 900 letters', [`Message-ID: <${'m'.repeat(900)}@acme.example>`], 'messageId'),
  instead('a message id on its second line', ['Message-ID:', ' <second-line@acme.example>'], 'messageId'),
  instead(
    'a message id with blanks and quotes',
    ['Message-ID: <"odd one"@ acme.example> (why)'],
    'messageId',
  ),
  sample('two hundred references', body, [
    'In-Reply-To: <0@acme.example>',
    'References:',
    ...Array.from({ length: 200 }, (_, index) => ` <${index}.abcdefgh@acme.example>`),
  ]),
]
