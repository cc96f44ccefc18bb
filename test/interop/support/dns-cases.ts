// The table of dns.test.ts: what stands in DNS for a domain, and what becomes of mail to it.
//
// A row holds its own records, in the zone `zone.test`, so that it can be read alone. Hosts by name are in `hostRecords`.

/** Hosts that answer. */
export const first = '127.0.0.31'
export const second = '127.0.0.32'
export const third = '127.0.0.33'
/** A host that answers and that nobody may connect to, since its domain takes no mail. */
export const unwanted = '127.0.0.35'
/** Answers too, in a private network that was not allowed. */
export const outside = '127.0.0.131'
/** Answers by IPv6 alone. */
export const six = '::1'
/** Nobody listens here. */
const dead = '127.0.0.39'
/** One of our own doors, at the port of MX hosts. */
export const own = '127.0.0.44'
/** Leads to that door: another address for it, as a router that translates addresses makes one. */
export const forwarded = '127.0.0.45'
/** Has our own name in DNS, and is another server. */
export const namesake = '127.0.0.46'
/** What that name is. */
export const ownName = 'namesake.zone.test'

export const hostRecords: readonly string[] = [
  `first A ${first}`,
  `second A ${second}`,
  `third A ${third}`,
  `dead A ${dead}`,
  `outside A ${outside}`,
  `own A ${own}`,
  `forwarded A ${forwarded}`,
  `namesake A ${namesake}`,
  `six AAAA ${six}`,
  'inside A 10.1.2.3',
]

/** One row. */
export interface DnsCase {
  /** States the rule. */
  readonly name: string
  readonly records: readonly string[]
  readonly to: string
  readonly kind: 'delivered' | 'bounced' | 'deferred'
  /** The address that took it. */
  readonly at?: string
  readonly code?: number
  readonly enhancedCode?: string
  readonly says?: RegExp
  /** Default `resolve` for what was not delivered. */
  readonly stage?: string
}

const delivered = (at: string) => ({ kind: 'delivered', at }) as const
const noSuchDomain = { kind: 'bounced', code: 550, enhancedCode: '5.1.2' } as const
const noHost = { kind: 'bounced', code: 550, enhancedCode: '5.4.4' } as const
const dnsFails = { kind: 'deferred', code: 451, enhancedCode: '4.4.3' } as const
const loops = { kind: 'bounced', code: 554, enhancedCode: '5.4.6', says: /loops back/ } as const

/** `count` MX records of one preference whose hosts do not exist. */
const crowd = (domain: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${domain} MX 10 rather-a-long-name-of-a-host-number-${index}`)

const order: readonly DnsCase[] = [
  {
    name: 'the most preferred MX host is taken',
    records: ['order MX 30 third', 'order MX 10 first', 'order MX 20 second'],
    to: 'a@order.zone.test',
    ...delivered(first),
  },
  {
    name: 'a dead host gives way to the next in order',
    records: ['fallback MX 10 dead', 'fallback MX 20 second', 'fallback MX 30 third'],
    to: 'a@fallback.zone.test',
    ...delivered(second),
  },
  {
    name: 'of two equal hosts the living one is found',
    records: ['equal MX 10 dead', 'equal MX 10 third'],
    to: 'a@equal.zone.test',
    ...delivered(third),
  },
  {
    name: 'the same host in two records is one host',
    records: ['twice MX 10 dead', 'twice MX 20 dead', 'twice MX 30 third'],
    to: 'a@twice.zone.test',
    ...delivered(third),
  },
  {
    name: 'of a host with two addresses the living one is found',
    records: [`pair A ${dead}`, `pair A ${second}`, 'twofold MX 10 pair'],
    to: 'a@twofold.zone.test',
    ...delivered(second),
  },
  {
    name: 'an answer too long for UDP is asked for by TCP',
    records: ['many MX 1 second', ...crowd('many', 80)],
    to: 'a@many.zone.test',
    ...delivered(second),
  },
  {
    name: 'of more than 50 MX hosts only the 50 most preferred are looked at',
    records: [...crowd('crowd', 55), 'crowd MX 20 third'],
    to: 'a@crowd.zone.test',
    ...noHost,
  },
]

const missing: readonly DnsCase[] = [
  {
    name: 'a null MX bounces at once, though the domain has an address that answers',
    records: ['null MX 0 .', `null A ${unwanted}`],
    to: 'a@null.zone.test',
    kind: 'bounced',
    code: 556,
    enhancedCode: '5.1.10',
    says: /null\.zone\.test.*null MX/,
  },
  {
    name: 'a null MX beside another one means nothing: the other one is taken',
    records: ['halfnull MX 0 .', 'halfnull MX 10 third'],
    to: 'a@halfnull.zone.test',
    ...delivered(third),
  },
  {
    name: 'without MX the address of the domain is taken',
    records: [`implicit A ${second}`],
    to: 'a@implicit.zone.test',
    ...delivered(second),
  },
  {
    name: 'with MX the address of the domain is not taken, not even when its hosts are dead',
    records: [`explicit A ${unwanted}`, 'explicit MX 10 dead'],
    to: 'a@explicit.zone.test',
    kind: 'deferred',
    enhancedCode: '4.4.1',
    stage: 'connect',
  },
  {
    name: 'a domain with neither MX nor address bounces',
    records: ['noaddress TXT "neither MX nor A"'],
    to: 'a@noaddress.zone.test',
    ...noSuchDomain,
  },
  {
    name: 'an MX host without an address bounces',
    records: ['nohost MX 10 missing'],
    to: 'a@nohost.zone.test',
    ...noHost,
    says: /missing\.zone\.test/,
  },
  {
    name: 'an MX host without an address gives way to one with an address',
    records: ['halfhost MX 10 missing', 'halfhost MX 20 third'],
    to: 'a@halfhost.zone.test',
    ...delivered(third),
  },
  {
    name: 'a domain that does not exist bounces',
    records: [],
    to: 'a@nowhere.zone.test',
    ...noSuchDomain,
    says: /nowhere\.zone\.test/,
  },
  {
    name: 'an MX host whose name cannot be one gives way to the next',
    records: ['badname MX 10 bad\\032name', 'badname MX 20 third'],
    to: 'a@badname.zone.test',
    ...delivered(third),
  },
  {
    name: 'only MX hosts whose names cannot be names: bounced',
    records: ['worse MX 10 bad\\032name', 'worse MX 20 semi\\059colon'],
    to: 'a@worse.zone.test',
    ...noHost,
  },
  {
    name: 'an underscore in the name of an MX host is a fault that many make, and is passed',
    records: [`under_score A ${second}`, 'sloppy MX 10 under_score'],
    to: 'a@sloppy.zone.test',
    ...delivered(second),
  },
]

const aliases: readonly DnsCase[] = [
  {
    name: 'a domain that is an alias is followed',
    records: ['alias CNAME order'],
    to: 'a@alias.zone.test',
    ...delivered(first),
  },
  {
    name: 'a chain of aliases is followed',
    records: ['c1 CNAME c2', 'c2 CNAME c3', 'c3 CNAME c4', 'c4 CNAME order'],
    to: 'a@c1.zone.test',
    ...delivered(first),
  },
  {
    name: 'an alias of a domain without MX leads to its address',
    records: ['plainalias CNAME implicit'],
    to: 'a@plainalias.zone.test',
    ...delivered(second),
  },
  {
    name: 'an MX host that is an alias is followed',
    records: ['mxalias MX 10 other-name', 'other-name CNAME third'],
    to: 'a@mxalias.zone.test',
    ...delivered(third),
  },
  {
    name: 'an alias to nowhere bounces',
    records: ['dangling CNAME missing'],
    to: 'a@dangling.zone.test',
    ...noSuchDomain,
  },
  {
    name: 'aliases that go round are a fault of their DNS, which may be mended: deferred',
    records: ['round1 CNAME round2', 'round2 CNAME round1'],
    to: 'a@round1.zone.test',
    ...dnsFails,
  },
]

const failures: readonly DnsCase[] = [
  {
    name: 'a zone that its server refuses (SERVFAIL) is tried again later',
    records: [],
    to: 'a@lame.test',
    ...dnsFails,
  },
  {
    name: 'a zone whose signatures are bogus (SERVFAIL of the validating resolver) is tried again later',
    records: [],
    to: 'a@bogus.test',
    ...dnsFails,
  },
  {
    name: 'a zone whose server never answers is tried again later',
    records: [],
    to: 'a@silent.test',
    ...dnsFails,
  },
  {
    name: 'an MX host whose zone fails gives way to one that is known',
    records: ['halflame MX 10 mx.lame.test.', 'halflame MX 20 third'],
    to: 'a@halflame.zone.test',
    ...delivered(third),
  },
  {
    name: 'an MX host whose zone fails, and no other: deferred, not bounced',
    records: ['alllame MX 10 mx.lame.test.', 'alllame MX 20 missing'],
    to: 'a@alllame.zone.test',
    ...dnsFails,
  },
]

const families: readonly DnsCase[] = [
  {
    name: 'an MX host that has only an IPv6 address is reached by it',
    records: ['onlysix MX 10 six'],
    to: 'a@onlysix.zone.test',
    ...delivered(six),
  },
  {
    name: 'IPv4 is taken first where a host has both',
    records: [`both A ${first}`, `both AAAA ${six}`, 'dual MX 10 both'],
    to: 'a@dual.zone.test',
    ...delivered(first),
  },
  {
    name: 'a dead IPv4 address gives way to the IPv6 address of the same host',
    records: [`halfdead A ${dead}`, `halfdead AAAA ${six}`, 'fallsix MX 10 halfdead', 'fallsix MX 20 third'],
    to: 'a@fallsix.zone.test',
    ...delivered(six),
  },
  {
    name: 'without MX an IPv6 address alone will do',
    records: [`bare AAAA ${six}`],
    to: 'a@bare.zone.test',
    ...delivered(six),
  },
  { name: 'an address literal needs no DNS', records: [], to: `a@[${third}]`, ...delivered(third) },
  {
    name: 'an IPv6 address literal needs no DNS',
    records: [],
    to: `a@[IPv6:${six}]`,
    ...delivered(six),
  },
]

const guards: readonly DnsCase[] = [
  {
    name: 'an MX host in loopback space that was not allowed is refused, though it would answer',
    records: ['outsider MX 10 outside'],
    to: 'a@outsider.zone.test',
    ...noHost,
    says: /private address space.*allow_private/,
  },
  {
    name: 'an MX host in private space is refused with the setting that would allow it',
    records: ['insider MX 10 inside'],
    to: 'a@insider.zone.test',
    ...noHost,
    says: /10\.1\.2\.3.*allow_private/,
  },
  {
    name: 'an MX host in private IPv6 space is refused',
    records: ['ula AAAA fd00::1', 'insidersix MX 10 ula'],
    to: 'a@insidersix.zone.test',
    ...noHost,
    says: /fd00::1.*allow_private/,
  },
  {
    name: 'a private IPv4 address hidden in an IPv6 one is refused',
    records: ['mapped AAAA ::ffff:10.1.2.3', 'hidden MX 10 mapped'],
    to: 'a@hidden.zone.test',
    ...noHost,
    says: /allow_private/,
  },
  {
    name: 'a private host is passed over for a public one',
    records: ['mixed MX 10 inside', 'mixed MX 20 third'],
    to: 'a@mixed.zone.test',
    ...delivered(third),
  },
  {
    name: 'an address literal in private space is refused',
    records: [],
    to: 'a@[10.1.2.3]',
    ...noHost,
    says: /allow_private/,
  },
  {
    name: 'an implicit MX in private space is refused',
    records: ['inner A 192.168.1.1'],
    to: 'a@inner.zone.test',
    ...noHost,
    says: /192\.168\.1\.1.*allow_private/,
  },
  {
    name: 'a domain whose best host is this server loops',
    records: ['ours MX 10 own'],
    to: 'a@ours.zone.test',
    ...loops,
  },
  {
    name: 'a domain whose implicit MX is this server loops',
    records: [`ourselves A ${own}`],
    to: 'a@ourselves.zone.test',
    ...loops,
  },
  {
    name: 'this server as a worse host: the better ones are taken',
    records: ['backup MX 10 first', 'backup MX 20 own'],
    to: 'a@backup.zone.test',
    ...delivered(first),
  },
  {
    name: 'this server as a worse host, the better ones dead: mail waits, and the hosts behind us are not tried',
    records: ['middle MX 10 dead', 'middle MX 20 own', 'middle MX 30 third'],
    to: 'a@middle.zone.test',
    kind: 'deferred',
    enhancedCode: '4.4.1',
    stage: 'connect',
  },
  {
    name: 'a domain whose best host leads back to this server by an address that is not ours loops',
    records: ['hairpin MX 10 forwarded', 'hairpin MX 20 third'],
    to: 'a@hairpin.zone.test',
    ...loops,
    stage: 'greeting',
  },
  {
    name: 'so does an address literal that leads back to this server',
    records: [],
    to: `a@[${forwarded}]`,
    ...loops,
    stage: 'greeting',
  },
  {
    name: 'a worse host that leads back to this server: the better ones are taken',
    records: ['hairpin2 MX 10 second', 'hairpin2 MX 20 forwarded'],
    to: 'a@hairpin2.zone.test',
    ...delivered(second),
  },
  {
    name: 'a worse host that leads back to this server, the better ones dead: mail waits, and the hosts behind us are not tried',
    records: ['hairpin3 MX 10 dead', 'hairpin3 MX 20 forwarded', 'hairpin3 MX 30 third'],
    to: 'a@hairpin3.zone.test',
    kind: 'deferred',
    enhancedCode: '4.4.1',
    stage: 'connect',
  },
  {
    name: 'a host that has our name, and is another server, gets the mail, and no other of equal or worse preference',
    records: ['named MX 10 dead', 'named MX 20 namesake', 'named MX 20 first', 'named MX 30 third'],
    to: 'a@named.zone.test',
    ...delivered(namesake),
  },
]

/** All rows. */
export const dnsCases: readonly DnsCase[] = [
  ...order,
  ...missing,
  ...aliases,
  ...failures,
  ...families,
  ...guards,
]
