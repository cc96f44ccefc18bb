// Keys of [limits]: every bound of the program with its unit and its reason.
//
// Place on the path: off it. The table is typed by LimitsConfig in types.ts; a limit without a reason fails a test.

import { recipientsMax } from '../../base/index.ts'
import { countKey, durationKey, type Keys, sizeKey, timerMsMax } from '../key.ts'
import type { LimitsConfig } from '../types.ts'

const since = '0.1.0'

export const limitKeys: Keys<LimitsConfig> = {
  messageSizeBytes: sizeKey(
    {
      name: 'message_size',
      text: 'The largest message, announced by SIZE.',
      fallback: '25MiB',
      reason: 'What Gmail and most receivers take.',
      since,
    },
    1024,
  ),
  headerSizeBytes: sizeKey(
    {
      name: 'header_size',
      text: 'The largest header block.',
      fallback: '128KiB',
      reason: 'Kept in memory while a message arrives; real ones stay under 20 KiB.',
      since,
    },
    1024,
  ),
  headerFields: countKey({
    name: 'header_fields',
    text: 'Header fields of one message.',
    fallback: 1000,
    unit: 'fields',
    reason: 'Bounds the work for one message; real ones stay under 100.',
    since,
  }),
  receivedHops: countKey({
    name: 'received_hops',
    text: 'Received fields after which a message counts as looping.',
    fallback: 50,
    unit: 'fields',
    reason: 'As Gmail and Postfix; RFC 5321 §6.3 leaves the number open.',
    since,
  }),
  recipients: countKey(
    {
      name: 'recipients',
      text: 'Recipients of one message, 65,536 at most.',
      fallback: 1000,
      unit: 'recipients',
      reason: 'RFC 5321 §4.5.3.1.8 asks for at least 100; a larger list belongs into several messages.',
      since,
    },
    1,
    recipientsMax,
  ),
  errors: countKey({
    name: 'errors',
    text: 'Refused commands after which a session is closed. For clients that have logged in, or come from `networks`, recipients and the like that are refused do not count here: of those there may be as many as `recipients` between two messages.',
    fallback: 20,
    unit: 'commands',
    reason: 'A client with so many mistakes is broken or guessing.',
    since,
  }),
  junkCommands: countKey({
    name: 'junk_commands',
    text: 'NOOP, RSET, VRFY and the like without a message between them, after which a session is closed.',
    fallback: 100,
    unit: 'commands',
    reason: 'Keeps idle games from holding a session.',
    since,
  }),
  authFailures: countKey({
    name: 'auth_failures',
    text: 'Failed AUTH commands from one client address (IPv6: one /64), and ten times as many from one network (one /24, IPv6: one /48), after which refusals of logins from there are slowed: each further failure makes the next refusals a second later, 10 seconds at most, until none has failed for 15 minutes. A right login never waits, and the session is not closed.',
    fallback: 3,
    unit: 'commands',
    reason: 'Enough for a typing error; guessing is slowed, and nobody can lock an account from outside.',
    since,
  }),
  idleMs: durationKey(
    {
      name: 'idle',
      text: 'How long a session may wait for the next command.',
      fallback: '5m',
      reason: 'RFC 5321 §4.5.3.2.7.',
      since,
    },
    1,
  ),
  dataIdleMs: durationKey(
    {
      name: 'data_idle',
      text: 'How long a session may wait for the next block of content.',
      fallback: '3m',
      reason: 'The sender’s own deadline for a block (RFC 5321 §4.5.3.2.5).',
      since,
    },
    1,
  ),
  sessionMs: durationKey(
    {
      name: 'session',
      text: 'How long a session may last in all; it ends with 421 between messages.',
      fallback: '30m',
      reason: 'Ends slow senders; ordinary clients connect again.',
      since,
    },
    1,
  ),
  handshakeMs: durationKey(
    {
      name: 'handshake',
      text: 'How long a TLS handshake or PROXY header may take.',
      fallback: '30s',
      reason: 'Both are a few packets.',
      since,
    },
    1,
  ),
  unreadRepliesMs: durationKey(
    {
      name: 'unread_replies',
      text: 'How long a client may leave our replies unread once they fill its connection; then it is closed.',
      fallback: '1m',
      reason: 'A client that sends commands and reads no answers is broken or wants to fill our memory.',
      since,
    },
    1,
  ),
  dataRateMin: countKey(
    {
      name: 'data_rate_min',
      text: 'The slowest average at which content may arrive, over each `data_idle`.',
      fallback: 500,
      unit: 'bytes a second',
      reason: 'As Postfix: slower than any link in use, faster than slow-sender attacks.',
      since,
    },
    0,
  ),
  sessions: countKey({
    name: 'sessions',
    text: 'Sessions open at the same time, all listeners together.',
    fallback: 2000,
    unit: 'sessions',
    reason: 'Bounds sockets and memory (about 70 KB an idle session with TLS).',
    since,
  }),
  strangerMs: durationKey({
    name: 'stranger',
    text: 'How long a client without a login keeps its place while all `sessions` are taken. A newcomer takes the place of the network (IPv4: one /24, IPv6: one /48) that holds most places without a login at once; only where all networks hold about the same must the client that is there longest have been there for this long. Clients in `networks` and clients that have logged in are never closed for somebody else.',
    fallback: '3s',
    reason:
      'A login over a line with a round trip of 300 ms takes two and a half seconds; connections that only stand there cannot keep others out.',
    since,
  }),
  connectionsPerAddress: countKey({
    name: 'connections_per_address',
    text: 'Sessions open at the same time from one client address (IPv6: one /64), outside of `networks`.',
    fallback: 50,
    unit: 'sessions',
    reason: 'One client cannot take all sessions; a busy application needs fewer.',
    since,
  }),
  connectionRatePerAddress: countKey({
    name: 'connection_rate_per_address',
    text: 'New sessions from one client address (IPv6: one /64), outside of `networks`.',
    fallback: 300,
    unit: 'sessions a minute',
    reason: 'Five a second suffice for clients that connect for each message; guessing passwords stays slow.',
    since,
  }),
  readyQueueRecipients: countKey({
    name: 'ready_queue_recipients',
    text: 'Recipients in memory, those that wait for a connection and those in an attempt, all threads together; the rest stay on disk. One account may have four fifths of it, and less while others have much of it too.',
    fallback: 10_000,
    unit: 'recipients',
    reason: 'Memory does not grow with the queue.',
    since,
  }),
  readyQueueSizeBytes: sizeKey(
    {
      name: 'ready_queue_size',
      text: 'Content that is held in memory for the ready queue, all threads together; the rest is read again when its turn comes. So much again may be contents that are re-encoded for servers without 8BITMIME.',
      fallback: '64MiB',
      reason: 'Memory does not grow with the queue.',
      since,
    },
    0,
  ),
  inlineContentSizeBytes: sizeKey(
    {
      name: 'inline_content',
      text: 'Content up to this size is kept in the database, larger content in segment files.',
      fallback: '16KiB',
      reason: 'Measured: small contents are faster inside the commit, large ones beside it.',
      since,
    },
    0,
  ),
  segmentSizeBytes: sizeKey(
    {
      name: 'segment_size',
      text: 'Size at which the next segment file is begun. A segment leaves the disk as a whole, when its last content is final.',
      fallback: '64MiB',
      reason:
        'Smaller ones free the disk sooner when some messages wait for days; larger ones cost fewer syncs.',
      since,
    },
    64 * 1024,
  ),
  replyLines: countKey({
    name: 'reply_lines',
    text: 'Lines of one reply of a receiving server.',
    fallback: 100,
    unit: 'lines',
    reason: 'EHLO replies have about 15; more is an attack.',
    since,
  }),
  replySizeBytes: sizeKey(
    {
      name: 'reply_size',
      text: 'Bytes of one reply of a receiving server.',
      fallback: '64KiB',
      reason: 'Bounds what a hostile server makes us hold.',
      since,
    },
    512,
  ),
  drainMs: durationKey(
    {
      name: 'drain',
      text: 'How long a shutdown waits for sessions and deliveries in flight before it closes them, 24 days at most.',
      fallback: '30s',
      reason: 'Shorter than the 90 s after which systemd kills.',
      since,
    },
    0,
    timerMsMax,
  ),
}
