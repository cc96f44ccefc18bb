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

/** A name that was not asked for in the rounds before. */
const fresh = (round: number, domain: string): string => `r${round}.${domain}`
const freshPattern = /^r(\d+)\./

/** Answers by name: for MX questions, and for A questions of the hosts that they name. */
function answersTo(name: string, type: string): DnsAnswer {
  if (type === 'AAAA') return []
  // Else nobody would believe this server that there is nothing.
  if (type === 'NS') return [{ type: 'NS', name, ttl: 60, data: 'ns.example' }]
  const round = Number(freshPattern.exec(name)?.[1] ?? 0)
  const [label = ''] = name.replace(freshPattern, '').split('.')
  const isMx = type === 'MX'
  switch (name.split('.').slice(-2).join('.')) {
    case 'hosts.example':
      // As many as fit into one message: 64 KiB.
      if (isMx) return Array.from({ length: 1600 }, (_, i) => mx(name, `h${i}.d`, i))
      return []
    case 'manyaddresses.example':
      if (isMx) return [mx(name, name)]
      return Array.from({ length: 1500 }, (_, i) => a(name, `127.${100 + round}.${i >> 8}.${i & 255}`))
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
  /** Questions for a message to it at most. */
  questionsMax: number,
])[] = [
  ['an MX list of 1,600 hosts: the first fifty count', 'hosts.example', 'delivered', /taken/, 220],
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
    /looking up MX of r\d+\.endless\.example/,
    12,
  ],
  [
    'a flood of foreign answers over TCP',
    'flood.example',
    'deferred',
    /looking up MX of r\d+\.flood\.example/,
    12,
  ],
  ['MX hosts with names that no host has', 'oddnames.example', 'bounced', /has an address/, 12],
]

for (const [name, domain, type, text, questionsMax] of cases)
  test(`DNS: ${name}`, async t => {
    let rounds = 0
    let questions = 0
    const cost = await siege.during(async round => {
      const before = dns.questions.length
      await using client = await siege.house.client()
      const id = queuedId(await client.send('ann@acme.example', `u@${fresh(round, domain)}`, message()))
      const done = (event: ShownEvent): boolean =>
        event.messageId === id && ['delivered', 'deferred', 'bounced'].includes(event.type)
      const events = await waitForEvents(siege.house.server, all => all.some(done), 60_000)
      const { outcome } = events.find(done)!
      assert.equal(outcome!.kind, type)
      assert.match(outcome!.text, text)
      assert.doesNotMatch(outcome!.text, /[\x00-\x1f\x7f]/)
      const asked = dns.questions.length - before
      assert.ok(asked <= questionsMax, `${asked} questions`)
      questions = Math.max(questions, asked)
      rounds = round + 1
    }, 64)
    t.diagnostic(`${describe(cost)}; ${rounds} times, ${questions} questions at most`)
  })
