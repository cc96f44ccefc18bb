// The reference page of events, made from the tables of the code: docs/reference/events.md.
//
// Only scripts/reference.ts and tests use it. A type without a meaning, or a meaning without a type, does not compile.

import { type EventType, eventTypes } from './event.ts'
import { eventJsonVersion, factsOfType } from './json.ts'

/** What each type means. */
const meanings: Readonly<Record<EventType, string>> = {
  accepted: 'We took the message: it is on disk and was answered with 250.',
  deferred: 'An attempt failed for now; another follows at `nextAttemptAt`.',
  delivered: "The recipient's mail server took the message. That is not yet the mailbox.",
  bounced: 'The message was refused for good, in the session (`source` `reply`) or by us (`local`).',
  expired: 'No attempt succeeded in time, or an operator gave the recipient up.',
  held: 'The recipient waits until it is released.',
  released: 'A held recipient may be sent again.',
  rejected: 'We refused a message at the door. It has no id.',
  suppressed: 'Reserved, not written in this version: the recipient is on a suppression list.',
  cancelled: 'Reserved, not written in this version: the recipient was taken out of the queue on request.',
  rerouted: 'The recipient goes to the smarthost in `note`.',
  retried: 'An attempt was asked for now instead of later.',
  notified: 'Reserved, not written in this version: a notification was made and queued; `note` says which.',
}

type Field = readonly [name: string, meaning: string]

const common: readonly Field[] = [
  ['seq', 'sequence number: a reader that has seen N never later finds one of N or less; gaps are allowed'],
  ['id', '`evt_…`, the same at each reading'],
  ['version', `version of this shape, ${eventJsonVersion}`],
  ['at', 'RFC 3339 in UTC with milliseconds'],
  ['type', 'see below'],
  ['account', '`acc_…`, or null'],
  ['stream', 'name of the stream, or null'],
  ['node', 'number of the node that wrote it'],
  ['messageId', '`msg_…`; null for `rejected`'],
  ['recipientId', '`msg_….n`; null when the event concerns the whole message'],
]

const outcomeFields =
  'kind, code, enhancedCode, text, remoteHost, remoteAddress, stage, tls, category, scope, source, at'

const facts: Readonly<Record<(typeof factsOfType)[EventType], readonly Field[]>> = {
  accepted: [
    ['reversePath', "the sender's address of the envelope, '' for none"],
    ['forwardPaths', 'the recipients in order; the position is the n of `recipientId`'],
    ['sizeBytes', 'size of the message'],
    ['clientAddress', "the client's IP address"],
    ['helloName', 'what it called itself in EHLO'],
    ['door', '`smtp`, or `local` for a report of ours; `http` is reserved'],
    ['username', "user name of the credential, '' for a relay network"],
    ['headerMessageId', 'the Message-ID field'],
    ['signedBy', 'an object of each DKIM signature made at acceptance: domain, selector'],
    ['tls', "TLS of the client's session, '' for none"],
  ],
  outcome: [
    ['forwardPath', "the recipient's address"],
    ['attempt', 'which attempt it was, from 1; 0 when none was made'],
    ['outcome', `an object: ${outcomeFields}, and isUncertain (sent, but no reply was read)`],
    ['nextAttemptAt', 'when the next attempt is due, or null'],
    [
      'conversation',
      'the host with its TLS, then lines of the SMTP session, `>` ours and `<` theirs, shortened; or a line for each host that could not be used',
    ],
  ],
  rejected: [
    ['reversePath', "the sender's address of the envelope"],
    ['forwardPath', "the recipient's address, '' when the whole message was refused"],
    ['code', 'SMTP code of our reply'],
    ['enhancedCode', 'enhanced status code of it'],
    ['text', 'text of it'],
    ['clientAddress', "the client's IP address"],
    ['username', 'user name of the credential'],
  ],
  action: [
    ['forwardPath', "the recipient's address"],
    ['by', 'who did it: `operator`, `restore`, …'],
    ['note', 'why or where to'],
  ],
}

/** The page. */
export function eventsReference(): string {
  const types = (Object.keys(eventTypes) as EventType[]).map(type => [
    `## ${type}\n\n${meanings[type]}\n\n${table(facts[factsOfType[type]])}`,
  ])
  return [
    '# Events\n',
    'Every change of a message or recipient is an event in one log that only grows. `postrider events` prints them as JSON, one object a line.\n',
    'Every event has:\n',
    table(common),
    ...types,
  ].join('\n')
}

function table(fields: readonly Field[]): string {
  return `| Field | Meaning |\n|---|---|\n${fields.map(([name, meaning]) => `| \`${name}\` | ${meaning} |`).join('\n')}\n`
}
