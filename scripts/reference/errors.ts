// The page docs/reference/errors.md: every stable code that a client, an operator or a program may meet.
//
// Refusals, store errors, engine replies and failures before a host is found come from the tables that the program uses.
// The codes of the control socket and the command line have no table: they are read from the calls that make them.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { failureCodes } from '../../src/delivery/resolve/failure.ts'
import { type RefusalCode, refusals } from '../../src/intake/index.ts'
import * as engineReplies from '../../src/protocol/smtp/server/replies.ts'
import { storeErrorCodes } from '../../src/store/errors.ts'

/** What each refusal means and what helps. A code without a line here does not compile. */
const meanings: Readonly<Record<RefusalCode, string>> = {
  'account-missing': 'The listener serves an account that does not exist: `postrider account create NAME`.',
  'authentication-required': 'AUTH (and STARTTLS before it) is demanded of this client.',
  'authentication-failed': 'User name or secret is wrong, or the credential was revoked.',
  'sender-not-owned':
    'The domain in MAIL FROM, Sender, Resent-From or Resent-Sender is not a domain of the account: leave the field out, or `postrider domain add … --trust`.',
  'sender-invalid':
    'There are two Sender fields, or a Sender, Resent-From or Resent-Sender cannot be read; leave the field out, or write one address.',
  'sender-domain-pending':
    'The domain waits for its proof and may not send. The operator vouches for it with `domain add … --trust`.',
  'recipient-domain-missing': 'RCPT TO has no domain; use a full address.',
  'header-too-large': 'The header block is over `limits.header_size`.',
  'header-too-many-fields': 'The header has more fields than `limits.header_fields`.',
  'header-malformed':
    'There is no header, or a line of it is no field; write an empty line between header and body.',
  'from-invalid': 'The message needs exactly one From field with one address.',
  'from-not-owned': 'The domain in From is not a domain of the account: `postrider domain add … --trust`.',
  'mail-loop': 'More Received fields than `limits.received_hops`: the message goes round.',
  'line-too-long':
    'A line is over 998 bytes; encode the body, or set `long_lines = "encode"` for the listener or credential.',
  'encoding-busy':
    'Too many large messages arrive at once for a listener or credential with `long_lines = "encode"`, which keeps them in memory; try again.',
  'signing-failed':
    'The DKIM keys of the domain cannot be used; nothing leaves unsigned. A matter for the operator.',
  'store-failed': 'The message could not be written to disk and was not kept; try again later.',
  'too-many-connections': 'The address has `limits.connections_per_address` sessions open.',
  'connection-rate':
    'The address made more than `limits.connection_rate_per_address` connections this minute.',
  'server-busy':
    'All of `limits.sessions` are in use, and nobody has to make room yet (`limits.stranger`); try again.',
}

const resolveMeanings: Readonly<Record<keyof typeof failureCodes, string>> = {
  'bad-domain': 'The domain or address literal cannot be one.',
  nxdomain: 'The domain does not exist.',
  'no-records': 'The domain has neither MX nor address records.',
  'null-mx': 'The domain says that it takes no mail (RFC 7505).',
  'no-address': 'No MX host has an address.',
  loop: 'The best host of the domain is this server itself. Where only its greeting tells, the stage is `greeting`.',
  'private-address': 'All addresses lie in refused networks: see `[delivery] allow_private`.',
  'smarthost-unusable':
    'The smarthost has no address in DNS, or is named as no host can be: a matter for the operator; tried again.',
  'smarthost-loop':
    'The smarthost is this server itself: a matter for the operator; tried again. Where only its greeting tells, the stage is `greeting`.',
  'dns-failure': 'DNS could not be asked; tried again.',
  aborted: 'The question was given up because the server ends; tried again.',
}

/** @param root folder of the repository */
export function errorsReference(root: string): string {
  return [
    '# Errors\n',
    'Codes are stable: search for them and alert on them. Texts may be made better at any time.\n',
    '## Refusals at the door\n',
    'The reply ends with the code in brackets; the `rejected` event, the log and the metric `postrider_messages_rejected_total` carry it too. The HTTP status is for the HTTP door, which is not there yet.\n',
    table(
      ['Code', 'SMTP', 'HTTP', 'Meaning'],
      Object.entries(refusals).map(([code, { code: smtp, enhanced, httpStatus }]) => [
        `\`${code}\``,
        `${smtp} ${enhanced}`,
        String(httpStatus),
        meanings[code as RefusalCode],
      ]),
    ),
    '## Replies of the SMTP engine\n',
    'What the protocol itself answers, before any rule of ours is asked. When it refuses MAIL, RCPT or a content of a client that may send, the `rejected` event and the log tell it as well; reason and metric say `protocol`.\n',
    table(['Reply', 'Text', 'Then'], engineRows()),
    '## No host to deliver to\n',
    'Outcomes with stage `resolve`; 5xx bounce, 4xx are tried again.\n',
    table(
      ['Reason', 'Code', 'Meaning'],
      Object.entries(failureCodes).map(([reason, { code, enhancedCode }]) => [
        `\`${reason}\``,
        `${code} ${enhancedCode}`,
        resolveMeanings[reason as keyof typeof failureCodes],
      ]),
    ),
    '## Store, backup and restore\n',
    'At start these end the process with exit code 1 and one sentence.\n',
    table(
      ['Code', 'Meaning'],
      Object.entries(storeErrorCodes).map(([code, meaning]) => [`\`${code}\``, sentence(meaning)]),
    ),
    '## Command line and control socket\n',
    'With `--json` an error is `{"error":{"code","message","hint"}}` on standard error.\n',
    table(['Code', 'Said when'], commandRows(root)),
  ].join('\n')
}

function engineRows(): string[][] {
  return Object.values(engineReplies)
    .filter(reply => typeof reply === 'object' && 'lines' in reply && reply.code >= 400)
    .map(({ code, enhanced, lines, close }) => [
      `${code} ${enhanced}`,
      escaped(lines.join(' ')),
      close === true || code === 421 ? 'closes' : '',
    ])
}

const call = /\b(?:failed|cliError)\(\s*'([a-z-]+)',\s*(?:'([^'\n]*)'|`([^`]*)`|[a-zA-Z])/g

/** Codes with the first sentence that each comes with, from the source of the control socket and the commands. */
function commandRows(root: string): string[][] {
  const found = new Map<string, string>()
  for (const folder of ['src/api/control', 'src/accounts', 'src/cli'])
    for (const file of readdirSync(join(root, folder)).sort()) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file === 'test-kit.ts') continue
      for (const [, code = '', plain, template] of readFileSync(join(root, folder, file), 'utf8').matchAll(
        call,
      )) {
        const text = (plain ?? template ?? '').replaceAll(/\$\{[^}]*\}/g, '…')
        if (/[a-z]{3}/.test(text) && !found.has(code)) found.set(code, text)
      }
    }
  return [...found]
    .sort(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([code, text]) => [`\`${code}\``, escaped(sentence(text))])
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |\n`).join('')
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}
