// Situation: the DNS of recipients' domains is hostile: answers with thousands of hosts or addresses, circles, chains,
// names that are no host names, TCP answers that never end.
//
// Each domain must end in an outcome with the reason, by few questions and few connections, while ordinary mail goes on.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Answer } from 'dns-packet'
import { queuedId } from './support/client.ts'
import { type DnsAnswer, HostileDns } from './support/hostile-dns.ts'
import { message, type ShownEvent, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'
import { describe, Siege } from './support/siege.ts'

const mx = (name: string, exchange: string, preference = 10): Answer => ({
  type: 'MX',
  name,
  ttl: 60,
  data: { exchange, preference },
})
const a = (name: string, data: string): Answer => ({ type: 'A', name, ttl: 60, data })
const cname = (name: string, data: string): Answer => ({ type: 'CNAME', name, ttl: 60, data })

/** Answers by name: for MX questions, and for A questions of the hosts that they name. */
function answersTo(name: string, type: string): DnsAnswer {
  if (type === 'AAAA') return []
  // Else nobody would believe this server that there is nothing.
  if (type === 'NS') return [{ type: 'NS', name, ttl: 60, data: 'ns.example' }]
  const [label = ''] = name.split('.')
  const isMx = type === 'MX'
  switch (name.split('.').slice(-2).join('.')) {
    case 'manyhosts.example':
      // As many as fit into one message: 64 KiB.
      if (isMx) return Array.from({ length: 1600 }, (_, i) => mx(name, `h${i}.d`, i))
      return []
    case 'manyaddresses.example':
      if (isMx) return [mx(name, 'all.manyaddresses.example')]
      return Array.from({ length: 1500 }, (_, i) => a(name, `127.66.${i >> 8}.${i & 255}`))
    case 'circle.example':
      return [cname(name, label === 'one' ? 'two.circle.example' : 'one.circle.example')]
    case 'self.example':
      return [cname(name, name)]
    case 'chain.example': {
      const step = Number(label.slice(1)) || 0
      return [cname(name, `c${step + 1}.chain.example`)]
    }
    case 'circleinside.example':
      return isMx ? [mx(name, 'mx.circleinside.example')] : [cname(name, name)]
    case 'endless.example':
      return 'endless'
    case 'flood.example':
      return 'flood'
    case 'oddnames.example':
      if (!isMx) return []
      return [
        mx(name, 'with space.example'),
        mx(name, '\x1b[2J.example'),
        mx(name, '127.0.0.1'),
        mx(name, '-.example'),
        mx(name, `${'l'.repeat(63)}.`.repeat(3).concat('x')),
      ]
    case 'd':
      return []
    default:
      return label.startsWith('h') && name.endsWith('.d') ? [a(name, '127.66.0.1')] : []
  }
}

let dns: HostileDns
let siege: Siege
let mxReceiver: Receiver
before(async () => {
  dns = await HostileDns.start(answersTo)
  mxReceiver = await Receiver.start({ host: '127.66.0.1' })
  siege = await Siege.open({
    toml: [
      `[dns]\nservers = ["127.0.0.1:${dns.port}"]`,
      `[delivery]\nport = ${mxReceiver.port}\nallow_private = ["127.0.0.0/8"]\nconnect_timeout = "2s"`,
      '[retry]\nschedule = ["1h"]',
    ].join('\n'),
  })
})
after(async () => {
  await siege[Symbol.asyncDispose]()
  await mxReceiver[Symbol.asyncDispose]()
  await dns[Symbol.asyncDispose]()
})

const cases: readonly (readonly [
  name: string,
  domain: string,
  type: string,
  text: RegExp,
  /** Questions for this domain's names at most. */
  questionsMax: number,
])[] = [
  ['an MX list of 1,600 hosts: the first fifty count', 'manyhosts.example', 'delivered', /taken/, 220],
  [
    'a host with 1,500 addresses: the attempt ends soon all the same',
    'manyaddresses.example',
    'deferred',
    /./,
    8,
  ],
  ['two CNAMEs in a circle', 'one.circle.example', 'deferred', /CNAMEs in a row/, 20],
  ['a CNAME that leads to itself', 'self.example', 'deferred', /CNAMEs in a row/, 20],
  ['a chain of CNAMEs without end', 'c0.chain.example', 'deferred', /CNAMEs in a row/, 20],
  ['an MX host whose address is a circle', 'circleinside.example', 'deferred', /CNAMEs in a row/, 20],
  [
    'an answer over TCP that never ends',
    'endless.example',
    'deferred',
    /looking up MX of endless\.example/,
    12,
  ],
  ['a flood of foreign answers over TCP', 'flood.example', 'deferred', /looking up MX of flood\.example/, 12],
  ['MX hosts with names that no host has', 'oddnames.example', 'bounced', /has an address/, 12],
]

for (const [name, domain, type, text, questionsMax] of cases)
  test(`DNS: ${name}`, async t => {
    const before = dns.questions.length
    let outcome: ShownEvent['outcome']
    const cost = await siege.during(async () => {
      await using client = await siege.house.client()
      const id = queuedId(await client.send('ann@acme.example', `u@${domain}`, message()))
      const done = (event: ShownEvent): boolean =>
        event.messageId === id && ['delivered', 'deferred', 'bounced'].includes(event.type)
      const events = await waitForEvents(siege.house.server, all => all.some(done), 60_000)
      outcome = events.find(done)!.outcome
    }, 64)
    t.diagnostic(
      `${describe(cost)}; ${dns.questions.length - before} questions; ${outcome!.text.slice(0, 200)}`,
    )
    assert.equal(outcome!.kind, type)
    assert.match(outcome!.text, text)
    assert.doesNotMatch(outcome!.text, /[\x00-\x1f\x7f]/)
    assert.ok(dns.questions.length - before <= questionsMax, `${dns.questions.length - before} questions`)
  })
