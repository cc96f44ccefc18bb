// The hosts and domains of the lab, as tables: who listens where, how it behaves, and which DNS records lead there.
//
// Every name under `.test` has an MX (a wildcard); the domains below differ from it, most of them by having a host
// of their own. Addresses lie in 127.77.0.0/16, which nothing else on a machine uses. docs/reference/lab.md is made
// from these tables.

import { smtpReply } from '../protocol/smtp/index.ts'
import type { LabBehaviour } from './behaviour.ts'
import type { LabDnsFaultAt, LabRecord } from './dns/index.ts'
import { nxdomainFault } from './dns-faults.ts'

/** A receiving host. */
export interface LabHostSpec {
  /** First label; the name is `<label>.lab.test`. */
  readonly label: string
  /** Last two numbers of the address behind 127.77. */
  readonly at: readonly [number, number]
  readonly behaviour: Partial<LabBehaviour>
  /** The domain whose only MX this is; undefined: it is named by other domains. */
  readonly domain?: string
  readonly text: string
}

/** A domain that differs from the wildcard by its records. */
export interface LabDomainSpec {
  readonly domain: string
  readonly records: readonly LabRecord[]
  readonly faults?: readonly LabDnsFaultAt[]
  readonly text: string
}

/** Run-time changes must be seen soon. */
export const labTtlSeconds = 5

/** The zone of the hosts. */
export const labHostZone = 'lab.test'

const own = (label: string, number: number, behaviour: Partial<LabBehaviour>, text: string): LabHostSpec => ({
  label,
  at: [1, number],
  behaviour,
  domain: `${label}.test`,
  text,
})

/** All hosts. */
export const labHosts: readonly LabHostSpec[] = [
  { label: 'mx1', at: [0, 1], behaviour: {}, text: 'takes everything; first MX of every domain' },
  { label: 'mx2', at: [0, 2], behaviour: {}, text: 'takes everything; second MX of every domain' },
  { label: 'mx3', at: [0, 3], behaviour: {}, text: 'takes everything; for domains with more hosts' },
  {
    label: 'dead',
    at: [0, 9],
    behaviour: { connect: 'refuse' },
    domain: 'dead.test',
    text: 'connections are refused',
  },
  own('silent', 1, { connect: 'silent' }, 'connections are taken, and nothing is ever said'),
  own('closes', 2, { connect: 'close' }, 'connections are closed before the greeting'),
  own(
    'greeting-421',
    3,
    { greeting: smtpReply(421, '4.3.2', 'Too busy at the moment') },
    'greets with 421: try later or elsewhere',
  ),
  own(
    'greeting-521',
    4,
    { greeting: smtpReply(521, '5.3.2', 'This host takes no mail') },
    'greets with 521: no mail here',
  ),
  own(
    'greeting-554',
    5,
    { greeting: smtpReply(554, '5.7.1', 'Your address is not welcome here') },
    'greets with 554: this client is not wanted',
  ),
  own('tarpit', 6, { tls: 'none', bytePauseMs: 100 }, 'each reply leaves a byte every 100 ms'),
  own('slow', 7, { delayMs: 5000 }, 'greeting and replies take 5 s each'),
  own('no-tls', 10, { tls: 'none' }, 'does not offer STARTTLS'),
  own('tls-broken', 11, { tls: 'broken' }, 'offers STARTTLS, every handshake fails'),
  own('tls-bad-cert', 12, { tls: 'self-signed' }, 'shows a self-signed certificate'),
  own('tls-wrong-name', 13, { tls: 'wrong-name' }, 'shows a certificate of another name'),
  own('tls-expired', 14, { tls: 'expired' }, 'shows a certificate that ended long ago'),
  own('no-8bitmime', 20, { tls: 'none', withholds: ['8BITMIME', 'SMTPUTF8'] }, 'lacks 8BITMIME'),
  own('no-smtputf8', 21, { tls: 'none', withholds: ['SMTPUTF8'] }, 'lacks SMTPUTF8'),
  own('no-pipelining', 22, { tls: 'none', withholds: ['PIPELINING'] }, 'lacks PIPELINING'),
  own('no-chunking', 23, { tls: 'none', withholds: ['CHUNKING'] }, 'lacks CHUNKING'),
  own('no-dsn', 24, { tls: 'none', withholds: ['DSN'] }, 'lacks DSN'),
  own('no-size', 25, { tls: 'none', withholds: ['SIZE'] }, 'lacks SIZE'),
  own('helo-only', 26, { tls: 'none', isHeloOnly: true }, 'refuses EHLO; HELO works'),
  own('size-small', 30, { maxSizeBytes: 10_240 }, 'takes at most 10 KiB a message'),
  own('one-rcpt', 31, { rcptMax: 1 }, 'takes one recipient a transaction'),
  own('one-mail', 32, { mailsPerSession: 1 }, 'takes one message a connection'),
  own(
    'content-554',
    33,
    { content: smtpReply(554, '5.6.0', 'The content is not acceptable') },
    'refuses every content',
  ),
  own(
    'blocked',
    34,
    { mail: smtpReply(550, '5.7.1', 'Mail from your network is blocked here; see our postmaster page') },
    'refuses every MAIL because of the client’s address',
  ),
]

const host = (label: string): string => `${label}.${labHostZone}`

const mx = (domain: string, ...hosts: readonly (readonly [number, string])[]): LabRecord[] =>
  hosts.map(([preference, exchange]) => ({
    name: domain,
    type: 'MX',
    data: { preference, exchange },
    ttlSeconds: labTtlSeconds,
  }))

/** All domains that are special by their records. */
export const labDomains: readonly LabDomainSpec[] = [
  {
    domain: 'two-mx.test',
    records: mx('two-mx.test', [10, host('dead')], [20, host('mx2')]),
    text: 'the first MX refuses connections, the second takes everything',
  },
  {
    domain: 'busy-mx.test',
    records: mx('busy-mx.test', [10, host('greeting-421')], [20, host('mx2')]),
    text: 'the first MX greets with 421, the second takes everything',
  },
  {
    domain: 'mixed-tls.test',
    records: mx('mixed-tls.test', [10, host('tls-broken')], [20, host('mx2')]),
    text: 'TLS fails on the first MX and works on the second',
  },
  {
    domain: 'equal-mx.test',
    records: mx('equal-mx.test', [10, host('mx1')], [10, host('mx2')], [10, host('mx3')]),
    text: 'three MX of one preference, all take everything',
  },
  {
    domain: 'all-dead.test',
    records: mx('all-dead.test', [10, host('dead')], [20, host('closes')]),
    text: 'no MX can be spoken to',
  },
  {
    domain: 'null-mx.test',
    records: mx('null-mx.test', [0, '.']),
    text: 'says that it takes no mail (RFC 7505)',
  },
  {
    domain: 'no-mx.test',
    records: [{ name: 'no-mx.test', type: 'A', data: '127.77.0.1', ttlSeconds: labTtlSeconds }],
    text: 'no MX: its address is the implicit one',
  },
  {
    domain: 'no-address.test',
    records: mx('no-address.test', [10, 'nowhere.lab.test']),
    text: 'the MX has no address',
  },
  {
    domain: 'alias.test',
    records: [{ name: 'alias.test', type: 'CNAME', data: 'two-mx.test', ttlSeconds: labTtlSeconds }],
    text: 'an alias of two-mx.test',
  },
  {
    domain: 'loop.test',
    records: [
      { name: 'loop.test', type: 'CNAME', data: 'loop2.test', ttlSeconds: labTtlSeconds },
      { name: 'loop2.test', type: 'CNAME', data: 'loop.test', ttlSeconds: labTtlSeconds },
    ],
    text: 'an alias of itself, over loop2.test',
  },
  {
    domain: 'nxdomain.test',
    records: [],
    faults: [{ name: 'nxdomain.test', fault: nxdomainFault }],
    text: 'does not exist',
  },
  {
    domain: 'servfail.test',
    records: [],
    faults: [{ name: 'servfail.test', fault: { kind: 'servfail' } }],
    text: 'its DNS answers SERVFAIL',
  },
  {
    domain: 'dns-timeout.test',
    records: [],
    faults: [{ name: 'dns-timeout.test', fault: { kind: 'drop' } }],
    text: 'its DNS never answers',
  },
]

/** The address of a host. */
export function addressOf(spec: Pick<LabHostSpec, 'at'>): string {
  return `127.77.${spec.at[0]}.${spec.at[1]}`
}

/** The records of the zone `test`; `address` says where a host is. */
export function labRecords(address: (spec: LabHostSpec) => string): LabRecord[] {
  const records: LabRecord[] = [
    ...mx('*.test', [10, host('mx1')], [20, host('mx2')]),
    ...mx(labHostZone, [10, host('mx1')], [20, host('mx2')]),
  ]
  for (const spec of labHosts) {
    const name = host(spec.label)
    records.push({ name, type: 'A', data: address(spec), ttlSeconds: labTtlSeconds })
    if (spec.domain !== undefined) records.push(...mx(spec.domain, [10, name]))
  }
  for (const { records: more } of labDomains)
    records.push(
      ...more.map(record => (record.type === 'A' ? { ...record, data: address(labHosts[0]!) } : record)),
    )
  return records
}
