// Keys of [delivery]: how mail leaves.
//
// Place on the path: off it. The table is typed by DeliveryConfig in types.ts.

import { isIP } from 'node:net'
import { countKey, durationKey, type Keys, listKey, networksKey } from '../key.ts'
import type { DeliveryConfig } from '../types.ts'

const since = '0.1.0'

export const deliveryKeys: Keys<DeliveryConfig> = {
  port: countKey(
    {
      name: 'port',
      text: 'The port of MX hosts. Only tests need another one.',
      fallback: 25,
      unit: 'port',
      since,
    },
    1,
    65535,
  ),
  bind: listKey(
    text =>
      isIP(text) !== 0
        ? { ok: true, value: text }
        : { ok: false, why: `${JSON.stringify(text)} is not an IP address` },
    {
      name: 'bind',
      text: 'Source addresses of outgoing connections, at most one of IPv4 and one of IPv6.',
      whenMissing: 'the system chooses',
      fallback: [],
      since,
    },
  ),
  allowPrivate: networksKey({
    name: 'allow_private',
    text: 'Private networks that MX hosts may lie in. All other private, loopback and reserved addresses are refused; smarthosts of a route are exempt.',
    fallback: [],
    reason: 'Anybody can point an MX record at an address inside your network.',
    since,
  }),
  connectionsPerSite: countKey({
    name: 'connections_per_site',
    text: 'Connections open at the same time towards one site (one provider, or one set of MX hosts).',
    fallback: 20,
    unit: 'connections',
    reason: 'What large receivers accept from a known address without complaint.',
    since,
  }),
  connectionsTotal: countKey({
    name: 'connections_total',
    text: 'Outgoing connections open at the same time, all sites together.',
    fallback: 1000,
    unit: 'connections',
    reason: 'Bounds sockets and memory.',
    since,
  }),
  messagesPerConnection: countKey({
    name: 'messages_per_connection',
    text: 'Messages sent over one connection before a new one is opened.',
    fallback: 100,
    unit: 'messages',
    reason: 'Several receivers close after about a hundred.',
    since,
  }),
  recipientsPerTransaction: countKey({
    name: 'recipients_per_transaction',
    text: 'Recipients of one message sent in one transaction.',
    fallback: 100,
    unit: 'recipients',
    reason: 'RFC 5321 §4.5.3.1.8 makes every server accept 100.',
    since,
  }),
  idleConnectionMs: durationKey({
    name: 'idle_connection',
    text: 'How long a connection without work is kept for the next message.',
    fallback: '10s',
    reason: 'Longer ones annoy the receiver, shorter ones pay for a new TLS handshake.',
    since,
  }),
  tlsFallbackAfterMs: durationKey({
    name: 'tls_fallback_after',
    text: 'How long after its acceptance a message waits for TLS where STARTTLS is offered and fails, before it may go in clear text. It never may where TLS worked within `tls_memory`.',
    fallback: '1h',
    reason: 'Long enough that an attacker must hold on; short enough for a server whose TLS is broken.',
    since,
  }),
  tlsMemoryMs: durationKey({
    name: 'tls_memory',
    text: 'How long a host where TLS worked is never spoken to in clear text.',
    fallback: '30d',
    reason: 'A host that spoke TLS last month and does not today is more likely attacked than changed.',
    since,
  }),
  connectTimeoutMs: durationKey(
    {
      name: 'connect_timeout',
      text: 'How long one address may take to answer a connection, and then how long its TLS handshake may take.',
      fallback: '30s',
      reason: 'The next address is tried sooner than the system’s two minutes.',
      since,
    },
    1,
  ),
  greetingTimeoutMs: durationKey(
    {
      name: 'greeting_timeout',
      text: 'How long a server may take to greet. Until its session is ready it has five minutes in all, and less when others are to be tried, too: those of one attempt have ten minutes together.',
      fallback: '5m',
      reason: 'RFC 5321 §4.5.3.2.1.',
      since,
    },
    1,
  ),
  commandTimeoutMs: durationKey(
    {
      name: 'command_timeout',
      text: 'How long a server may take to answer EHLO, STARTTLS, MAIL or RCPT.',
      fallback: '5m',
      reason: 'RFC 5321 §4.5.3.2.2 and §4.5.3.2.3.',
      since,
    },
    1,
  ),
  dataTimeoutMs: durationKey(
    {
      name: 'data_timeout',
      text: 'How long a server may take to answer DATA, and to take each block of the content.',
      fallback: '3m',
      reason: 'RFC 5321 §4.5.3.2.4 and §4.5.3.2.5.',
      since,
    },
    1,
  ),
  endOfDataTimeoutMs: durationKey(
    {
      name: 'end_of_data_timeout',
      text: 'How long a server may take to answer the end of the content.',
      fallback: '10m',
      reason: 'RFC 5321 §4.5.3.2.6: giving up too early makes duplicates.',
      since,
    },
    1,
  ),
}
