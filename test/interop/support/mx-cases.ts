// The table of mx-hosts.test.ts: how the MX hosts of a domain behave, and what becomes of mail to it.
//
// A row names its hosts in order of preference; each has an address of its own. `before` is a first message that must be
// delivered while the hosts are as in `hosts`; then `change` makes them what they are for the message of the row.
// Outcomes are those of the first two attempts: the second one comes when a message has waited for TLS long enough.

import type { ReceiverOptions } from '../../../src/delivery/testing/receiver.ts'

/** How a host behaves; `dead`: nobody listens; TLS `works` with a certificate of nobody. */
export interface HostBehaviour extends Omit<ReceiverOptions, 'address' | 'port' | 'tls'> {
  readonly isDead?: true
  readonly tls?: 'works' | 'broken' | 'refused'
  /** Addresses in DNS besides, or (`onlyAt`) instead of, that of the host. */
  readonly alsoAt?: readonly string[]
  readonly onlyAt?: readonly string[]
}

/** What an attempt comes to. */
export interface Expected {
  readonly kind: 'delivered' | 'deferred' | 'bounced'
  /** Which host took it or answered, from 0. */
  readonly host?: number
  readonly code?: number
  readonly enhancedCode?: string
  readonly stage?: string
  readonly isUncertain?: true
  /** Whether it went over TLS. */
  readonly isTls?: boolean
}

/** One row. */
export interface MxCase {
  /** States the rule. */
  readonly name: string
  readonly hosts: readonly HostBehaviour[]
  /** A message before, when `hosts` are well. */
  readonly change?: readonly HostBehaviour[]
  /** A smarthost route to the first host instead of MX, with these lines. */
  readonly route?: readonly string[]
  /** `signed` has 8-bit text in a signed part, `DSN` comes with all parameters of that extension. */
  readonly content?: 'plain' | '8-bit' | 'UTF-8' | 'needless SMTPUTF8' | 'signed' | 'DSN'
  readonly first: Expected
  readonly second?: Expected
  /** Messages that each host has in the end, those before included. */
  readonly messages: readonly number[]
  /** Hosts that must not be connected to. */
  readonly unasked?: readonly number[]
  readonly arrives?: RegExp
  /** A command that the first host got, and one that it did not get. */
  readonly said?: RegExp
  readonly unsaid?: RegExp
}

const well: HostBehaviour = {}
const secure: HostBehaviour = { tls: 'works' }
const broken: HostBehaviour = { tls: 'broken' }
const dead: HostBehaviour = { isDead: true }
/** Where nobody listens: connections are refused. */
const refusedSix = '::1'
/** The discard prefix (RFC 6666): silence where there is IPv6, no way there where there is none. */
const nowhereSix = '100::1'
const greets = (greeting: string): HostBehaviour => ({ greeting })
const tlsFailed = { kind: 'deferred', stage: 'starttls' } as const
const inClear = (host: number) => ({ kind: 'delivered', host, isTls: false }) as const
const overTls = (host: number) => ({ kind: 'delivered', host, isTls: true }) as const

const greetings: readonly MxCase[] = [
  ...['521 mx takes no mail', '554 5.7.1 not you', '421 4.3.2 busy', '451 4.3.0 later', 'hello', 'drop'].map(
    (greeting): MxCase => ({
      name: `${greeting === 'drop' ? 'no greeting, but a closed connection,' : `the greeting "${greeting}"`} belongs to the host: the next one takes the mail`,
      hosts: [greets(greeting), well],
      first: inClear(1),
      messages: [0, 1],
    }),
  ),
  {
    name: '521 as greeting of the only host bounces',
    hosts: [greets('521 mx takes no mail')],
    first: { kind: 'bounced', host: 0, code: 521, stage: 'greeting' },
    messages: [0],
  },
  {
    name: '5xx as greeting of all hosts bounces',
    hosts: [greets('521 mx takes no mail'), greets('554 5.7.1 not you')],
    first: { kind: 'bounced', stage: 'greeting' },
    messages: [0, 0],
  },
  {
    name: '521 of one host and 421 of the other: the mail waits',
    hosts: [greets('521 mx takes no mail'), greets('421 4.3.2 busy')],
    first: { kind: 'deferred', host: 1, code: 421, enhancedCode: '4.3.2', stage: 'greeting' },
    messages: [0, 0],
  },
  {
    name: '521 of one host, the other one dead: the mail waits',
    hosts: [greets('521 mx takes no mail'), dead],
    first: { kind: 'deferred', host: 1, enhancedCode: '4.4.1', stage: 'connect' },
    messages: [0, 0],
  },
  {
    name: 'six hosts say 521, the seventh takes the mail',
    hosts: [...Array.from({ length: 6 }, () => greets('521 mx takes no mail')), well],
    first: inClear(6),
    messages: [0, 0, 0, 0, 0, 0, 1],
  },
]

const addresses: readonly MxCase[] = [
  {
    name: 'the first host has only an IPv6 address that refuses connections: the next one takes the mail',
    hosts: [{ isDead: true, onlyAt: [refusedSix] }, well],
    first: inClear(1),
    messages: [0, 1],
  },
  {
    name: 'the first host has only an IPv6 address that leads nowhere: the next one takes the mail',
    hosts: [{ isDead: true, onlyAt: [nowhereSix] }, well],
    first: inClear(1),
    messages: [0, 1],
  },
  {
    name: 'a dead IPv6 address beside a living IPv4 one does no harm',
    hosts: [{ alsoAt: [refusedSix, nowhereSix] }, dead],
    first: inClear(0),
    messages: [1, 0],
  },
]

const transactions: readonly MxCase[] = [
  {
    name: '4xx to MAIL is about the message: the next host is not asked',
    hosts: [{ onMail: () => '451 4.7.1 later' }, well],
    first: { kind: 'deferred', host: 0, code: 451, enhancedCode: '4.7.1', stage: 'mail' },
    messages: [0, 0],
    unasked: [1],
  },
  {
    name: '4xx to RCPT is about the recipient: the next host is not asked',
    hosts: [{ onRcpt: () => '450 4.2.1 greylisted' }, well],
    first: { kind: 'deferred', host: 0, code: 450, enhancedCode: '4.2.1', stage: 'rcpt' },
    messages: [0, 0],
    unasked: [1],
  },
  {
    name: '5xx to RCPT bounces: the next host is not asked',
    hosts: [{ onRcpt: () => '550 5.1.1 nobody' }, well],
    first: { kind: 'bounced', host: 0, code: 550, enhancedCode: '5.1.1', stage: 'rcpt' },
    messages: [0, 0],
    unasked: [1],
  },
  {
    name: 'a connection dropped at MAIL: the next host takes the mail at once',
    hosts: [{ onMail: () => 'drop' }, well],
    first: inClear(1),
    messages: [0, 1],
  },
  {
    name: '421 at MAIL: the next host takes the mail at once',
    hosts: [{ onMail: () => '421 4.3.2 going down' }, well],
    first: inClear(1),
    messages: [0, 1],
  },
  {
    name: 'a connection dropped after the end of the content: uncertain, and not sent to the next host at once',
    hosts: [{ onEnd: () => 'drop' }, well],
    first: { kind: 'deferred', host: 0, stage: 'data', isUncertain: true },
    messages: [0, 0],
    unasked: [1],
  },
]

const tls: readonly MxCase[] = [
  {
    name: 'STARTTLS is used where it is offered, whatever the certificate says',
    hosts: [secure],
    first: overTls(0),
    messages: [1],
  },
  {
    name: 'where no host offers STARTTLS and none ever did, mail goes in clear text',
    hosts: [well],
    first: inClear(0),
    messages: [1],
  },
  {
    name: 'TLS fails on one host of two: the other one gets the mail over TLS, nothing goes in clear text',
    hosts: [broken, secure],
    first: overTls(1),
    messages: [0, 1],
  },
  {
    name: 'STARTTLS answered 454 on one host of two: the other one gets the mail',
    hosts: [{ tls: 'refused' }, secure],
    first: overTls(1),
    messages: [0, 1],
  },
  {
    name: 'TLS fails on one host, the other one offers none: that one gets the mail in clear text',
    hosts: [broken, well],
    first: inClear(1),
    messages: [0, 1],
  },
  {
    name: 'TLS fails on the only host: the mail waits; in clear text only after the configured time',
    hosts: [broken],
    first: tlsFailed,
    second: inClear(0),
    messages: [1],
  },
  {
    name: 'STARTTLS answered 454 by the only host: the mail waits; in clear text only after the configured time',
    hosts: [{ tls: 'refused' }],
    first: { kind: 'deferred', stage: 'starttls', code: 454 },
    second: inClear(0),
    messages: [1],
  },
  {
    name: 'TLS fails on a host that takes nothing in clear text: the mail waits on, and does not bounce',
    hosts: [{ tls: 'broken', onMail: () => '530 5.7.0 Must issue a STARTTLS command first' }],
    first: tlsFailed,
    second: { kind: 'deferred', host: 0, code: 530, enhancedCode: '5.7.0', stage: 'mail' },
    messages: [0],
  },
  {
    name: 'a host that wants a login takes no mail from strangers: bounced',
    hosts: [{ onMail: () => '530 5.7.0 Authentication required' }],
    first: { kind: 'bounced', host: 0, code: 530, stage: 'mail' },
    messages: [0],
  },
  {
    name: 'TLS fails on both hosts: the mail waits; after the configured time the better one gets it in clear text',
    hosts: [broken, broken],
    first: tlsFailed,
    second: inClear(0),
    messages: [1, 0],
  },
  {
    name: 'after the configured time, too, a host with TLS comes before clear text on a better one',
    hosts: [broken, dead],
    change: [broken, secure],
    first: tlsFailed,
    second: overTls(1),
    messages: [0, 1],
  },
  {
    name: 'TLS worked lately and fails now: never in clear text, however long the mail waits',
    hosts: [secure],
    change: [broken],
    first: tlsFailed,
    second: tlsFailed,
    messages: [1],
  },
  {
    name: 'TLS worked lately and is not offered now: never in clear text, however long the mail waits',
    hosts: [secure],
    change: [well],
    first: { ...tlsFailed, enhancedCode: '4.7.10' },
    second: tlsFailed,
    messages: [1],
  },
  {
    name: 'TLS worked lately on one host and is gone; another one never had it: that one gets the mail',
    hosts: [secure, well],
    change: [well, well],
    first: inClear(1),
    messages: [1, 1],
  },
]

const policies: readonly MxCase[] = [
  {
    name: 'a route that requires TLS: never in clear text where it fails',
    hosts: [broken],
    route: ['tls = "required"'],
    first: tlsFailed,
    second: tlsFailed,
    messages: [0],
  },
  {
    name: 'a route that requires TLS: never in clear text where it is not offered',
    hosts: [well],
    route: ['tls = "required"'],
    first: tlsFailed,
    second: tlsFailed,
    messages: [0],
  },
  {
    name: 'a route that requires TLS takes a certificate of nobody',
    hosts: [secure],
    route: ['tls = "required"'],
    first: overTls(0),
    messages: [1],
  },
  {
    name: 'a route that verifies does not take a certificate of nobody, however long the mail waits',
    hosts: [secure],
    route: ['tls = "verified"'],
    first: tlsFailed,
    second: tlsFailed,
    messages: [0],
  },
  {
    name: 'a route with a login: never in clear text, not even where no TLS is offered',
    hosts: [{ keywords: ['AUTH PLAIN'] }],
    route: ['username = "shop"', 'password = "open sesame"'],
    first: tlsFailed,
    second: tlsFailed,
    messages: [0],
  },
  {
    name: 'an opportunistic route is as an MX host: in clear text after the configured time',
    hosts: [broken],
    route: [],
    first: tlsFailed,
    second: inClear(0),
    messages: [1],
  },
]

/** Refuses whatever goes beyond these keywords. */
const offers = (...keywords: readonly string[]): HostBehaviour => ({ keywords, isStrict: true })
const tooLarge = '552 5.3.4 Message size exceeds fixed limit'

const capabilities: readonly MxCase[] = [
  {
    name: 'a host without 8BITMIME gets 8-bit content in 7 bits',
    hosts: [offers('PIPELINING', 'SIZE', 'SMTPUTF8')],
    content: '8-bit',
    first: inClear(0),
    messages: [1],
    arrives: /^Content-Transfer-Encoding: quoted-printable\r\n[\s\S]*Gr=C3=BC=C3=9Fe/m,
    unsaid: /BODY=/,
  },
  {
    name: 'a host without 8BITMIME gets no 8-bit content that must not be changed: bounced',
    hosts: [offers('PIPELINING', 'SIZE')],
    content: 'signed',
    first: { kind: 'bounced', host: 0, code: 554, enhancedCode: '5.6.3', stage: 'mail' },
    messages: [0],
    unsaid: /^MAIL/,
  },
  {
    name: 'a host with 8BITMIME gets 8-bit content as it is',
    hosts: [offers('PIPELINING', '8BITMIME')],
    content: '8-bit',
    first: inClear(0),
    messages: [1],
    arrives: /Gr\xc3\xbc\xc3\x9fe/,
    said: /^MAIL FROM:<ann@acme\.example> BODY=8BITMIME$/,
  },
  {
    name: 'a host without SMTPUTF8 gets no message with a UTF-8 header: bounced',
    hosts: [offers('PIPELINING', '8BITMIME')],
    content: 'UTF-8',
    first: { kind: 'bounced', host: 0, code: 553, enhancedCode: '5.6.7', stage: 'mail' },
    messages: [0],
    unsaid: /^MAIL/,
  },
  {
    name: 'a host without SMTPUTF8 gets an ASCII message that was declared with it',
    hosts: [offers('PIPELINING', '8BITMIME')],
    content: 'needless SMTPUTF8',
    first: inClear(0),
    messages: [1],
    unsaid: /SMTPUTF8/,
  },
  {
    name: 'a host with SMTPUTF8 gets it as it is',
    hosts: [offers('8BITMIME', 'SMTPUTF8')],
    content: 'UTF-8',
    first: inClear(0),
    messages: [1],
    arrives: /^X-Greeting: Gr\xc3\xbc\xc3\x9fe\r\n/m,
    said: /^MAIL .* BODY=8BITMIME SMTPUTF8$/,
  },
  {
    name: 'a message over the SIZE of the host bounces without being sent',
    hosts: [offers('SIZE 100')],
    first: { kind: 'bounced', host: 0, code: 552, enhancedCode: '5.3.4', stage: 'mail' },
    messages: [0],
    unsaid: /^MAIL/,
  },
  {
    name: 'a host whose SIZE names no limit is told the size and may refuse it: bounced',
    hosts: [{ ...offers('SIZE'), onMail: () => tooLarge }],
    first: { kind: 'bounced', host: 0, code: 552, enhancedCode: '5.3.4', stage: 'mail' },
    messages: [0],
    said: /^MAIL .* SIZE=\d+$/,
  },
  {
    name: 'a host that has no room for this size now: the mail waits',
    hosts: [{ ...offers('SIZE 0'), onMail: () => '452 4.3.1 Insufficient system storage' }],
    first: { kind: 'deferred', host: 0, code: 452, enhancedCode: '4.3.1', stage: 'mail' },
    messages: [0],
    said: /^MAIL .* SIZE=\d+$/,
  },
  {
    name: 'a host without SIZE is told none',
    hosts: [offers('PIPELINING', '8BITMIME')],
    first: inClear(0),
    messages: [1],
    said: /^MAIL FROM:<ann@acme\.example>$/,
  },
  {
    name: 'a host without SIZE that finds the content too large: bounced, and the next host is not asked',
    hosts: [{ ...offers('PIPELINING'), onEnd: () => tooLarge }, well],
    first: { kind: 'bounced', host: 0, code: 552, enhancedCode: '5.3.4', stage: 'data' },
    messages: [0, 0],
    unasked: [1],
  },
  {
    name: 'a host without DSN is told nothing of it',
    hosts: [offers('PIPELINING', 'SIZE')],
    content: 'DSN',
    first: inClear(0),
    messages: [1],
    unsaid: /NOTIFY|ORCPT|RET=|ENVID/,
  },
  {
    name: 'a host with DSN is told all of it',
    hosts: [offers('PIPELINING', 'DSN')],
    content: 'DSN',
    first: inClear(0),
    messages: [1],
    said: /^RCPT .* NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@there\.example$/,
  },
  {
    name: 'a host that offers nothing at all gets the mail command by command',
    hosts: [offers()],
    first: inClear(0),
    messages: [1],
  },
  {
    name: 'a host that offers nothing at all gets 8-bit content in 7 bits',
    hosts: [offers()],
    content: '8-bit',
    first: inClear(0),
    messages: [1],
    arrives: /Gr=C3=BC=C3=9Fe/,
  },
]

/** All rows. */
export const mxCases: readonly MxCase[] = [
  ...greetings,
  ...addresses,
  ...transactions,
  ...tls,
  ...policies,
  ...capabilities,
]
