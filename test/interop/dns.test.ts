// Where mail goes, as Knot's zones say it through Unbound: MX rules of RFC 5321 §5.1 and RFC 7505, failures of DNS, and
// the guard against destinations in private address space.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import dnsPacket from 'dns-packet'
import { queuedId } from '../scenario/support/client.ts'
import {
  House,
  message,
  type ShownEvent,
  type ShownOutcome,
  type ShownRecipient,
  waitForEvents,
} from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import type { KnotZone } from '../support/peers/index.ts'
import { Hosts } from './support/hosts.ts'
import { startMailNetwork } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

/** Hosts that answer. `outside` is a private address too, in a network that was not allowed. */
const first = '127.0.0.31'
const second = '127.0.0.32'
const third = '127.0.0.33'
const outside = '127.0.0.131'
/** Nobody listens here. */
const dead = '127.0.0.39'

const many = Array.from({ length: 80 }, (_, index) => `rather-a-long-name-of-a-host-number-${index}`)

const zone: KnotZone = {
  name: 'zone.test',
  records: [
    `first A ${first}`,
    `second A ${second}`,
    `third A ${third}`,
    `dead A ${dead}`,
    `outside A ${outside}`,
    'inside A 10.1.2.3',
    'order MX 30 third',
    'order MX 10 first',
    'order MX 20 second',
    'fallback MX 10 dead',
    'fallback MX 20 second',
    'fallback MX 30 third',
    'equal MX 10 dead',
    'equal MX 10 third',
    'null MX 0 .',
    `implicit A ${second}`,
    'noaddress TXT "neither MX nor A"',
    'nohost MX 10 missing',
    'alias CNAME order',
    'mxalias MX 10 other-name',
    'other-name CNAME third',
    'dangling CNAME missing',
    'outsider MX 10 outside',
    'insider MX 10 inside',
    'mixed MX 10 inside',
    'mixed MX 20 third',
    'many MX 1 second',
    ...many.map(name => `many MX 10 ${name}`),
    'unasked MX 10 first',
  ],
}

interface Case {
  readonly name: string
  readonly to: string
  readonly kind: 'delivered' | 'bounced' | 'deferred'
  /** The address that took it. */
  readonly at?: string
  readonly code?: number
  readonly enhancedCode?: string
  readonly says?: RegExp
}

const cases: readonly Case[] = [
  { name: 'the most preferred MX host is taken', to: 'a@order.zone.test', kind: 'delivered', at: first },
  {
    name: 'a dead host gives way to the next in order',
    to: 'a@fallback.zone.test',
    kind: 'delivered',
    at: second,
  },
  {
    name: 'of two equal hosts the living one is found',
    to: 'a@equal.zone.test',
    kind: 'delivered',
    at: third,
  },
  {
    name: 'a null MX bounces at once',
    to: 'a@null.zone.test',
    kind: 'bounced',
    code: 556,
    enhancedCode: '5.1.10',
    says: /null\.zone\.test.*null MX/,
  },
  {
    name: 'without MX the address of the domain is taken',
    to: 'a@implicit.zone.test',
    kind: 'delivered',
    at: second,
  },
  {
    name: 'a domain with neither MX nor address bounces',
    to: 'a@noaddress.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.1.2',
  },
  {
    name: 'an MX host without an address bounces',
    to: 'a@nohost.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.4.4',
    says: /missing\.zone\.test/,
  },
  { name: 'a domain that is an alias is followed', to: 'a@alias.zone.test', kind: 'delivered', at: first },
  {
    name: 'an MX host that is an alias is followed',
    to: 'a@mxalias.zone.test',
    kind: 'delivered',
    at: third,
  },
  {
    name: 'an alias to nowhere bounces',
    to: 'a@dangling.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.1.2',
  },
  {
    name: 'a domain that does not exist bounces',
    to: 'a@nowhere.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.1.2',
    says: /nowhere\.zone\.test/,
  },
  {
    name: 'a zone that its server refuses (SERVFAIL) is tried again later',
    to: 'a@lame.test',
    kind: 'deferred',
    code: 451,
    enhancedCode: '4.4.3',
  },
  {
    name: 'an answer too long for UDP is asked for by TCP',
    to: 'a@many.zone.test',
    kind: 'delivered',
    at: second,
  },
  { name: 'an address literal needs no DNS', to: `a@[${third}]`, kind: 'delivered', at: third },
  {
    name: 'an MX host in loopback space that was not allowed is refused, though it would answer',
    to: 'a@outsider.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.4.4',
    says: /private address space.*allow_private/,
  },
  {
    name: 'an MX host in private space is refused with the setting that would allow it',
    to: 'a@insider.zone.test',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.4.4',
    says: /10\.1\.2\.3.*allow_private/,
  },
  {
    name: 'a private host is passed over for a public one',
    to: 'a@mixed.zone.test',
    kind: 'delivered',
    at: third,
  },
  {
    name: 'an address literal in private space is refused',
    to: 'a@[10.1.2.3]',
    kind: 'bounced',
    code: 550,
    enhancedCode: '5.4.4',
    says: /allow_private/,
  },
]

const needed = await needs('knot', 'unbound')

test('mail goes where DNS says', needed, async context => {
  await using network = await startMailNetwork({
    zones: [zone],
    brokenZones: ['lame.test'],
    allowPrivate: ['127.0.0.0/25'],
  })
  await using receiver = await Receiver.start()
  await using hosts = await Hosts.start({
    addresses: [first, second, third, outside],
    port: network.mxPort,
    to: { address: '127.0.0.1', port: receiver.port },
  })
  await using house = await House.open(network.toml)
  await using client = await house.client()

  const ids: string[] = []
  for (const { to } of cases) ids.push(queuedId(await client.send('ann@acme.example', to, message())))
  const outcomes = await firstOutcomes(house, ids)

  for (const [index, { name, kind, at, code, enhancedCode, says }] of cases.entries()) {
    await context.test(name, () => {
      const outcome = outcomes.get(ids[index]!)!
      assert.equal(outcome.kind, kind, outcome.text)
      if (at !== undefined) assert.equal(outcome.remoteAddress, `${at}:${network.mxPort}`)
      if (code !== undefined) assert.equal(outcome.code, code, outcome.text)
      if (enhancedCode !== undefined) assert.equal(outcome.enhancedCode, enhancedCode, outcome.text)
      if (says !== undefined) assert.match(outcome.text, says)
      if (kind !== 'delivered') assert.equal(outcome.stage, 'resolve')
    })
  }

  await context.test('the long answer was indeed cut off over UDP', async () => {
    assert.equal(await isTruncated(network.resolver, 'many.zone.test'), true)
    assert.equal(await isTruncated(network.resolver, 'order.zone.test'), false)
  })

  await context.test('nobody was connected to whom the guard had refused', () => {
    assert.ok(hosts.chosen.includes(first))
    assert.ok(!hosts.chosen.includes(outside))
  })

  await context.test('while the authoritative server is away mail waits', async () => {
    await network.knot[Symbol.asyncDispose]()
    const id = queuedId(await client.send('ann@acme.example', 'a@unasked.zone.test', message()))
    const outcome = (await firstOutcomes(house, [id])).get(id)!
    assert.equal(outcome.kind, 'deferred', outcome.text)
    assert.equal(outcome.enhancedCode, '4.4.3')
    const shown = await house.server.json<{ recipients: ShownRecipient[] }>('message', 'show', id)
    assert.equal(shown.recipients[0]!.state, 'scheduled')
  })
})

/** The outcome of the first attempt of each message; each has one recipient. */
async function firstOutcomes(
  house: House,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ShownOutcome>> {
  const outcomesIn = (events: readonly ShownEvent[]): Map<string, ShownOutcome> => {
    const outcomes = new Map<string, ShownOutcome>()
    for (const { messageId, outcome } of events)
      if (messageId !== null && outcome !== undefined && !outcomes.has(messageId))
        outcomes.set(messageId, outcome)
    return outcomes
  }
  const events = await waitForEvents(
    house.server,
    all => {
      const outcomes = outcomesIn(all)
      return ids.every(id => outcomes.has(id))
    },
    45_000,
  )
  return outcomesIn(events)
}

/** Does the resolver's UDP answer about MX have TC set? */
async function isTruncated(resolver: { address: string; port: number }, name: string): Promise<boolean> {
  const socket = createSocket('udp4')
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.once('message', resolve).once('error', reject)
  })
  const questions = [{ type: 'MX', name }] as const
  const flags = dnsPacket.RECURSION_DESIRED
  socket.send(
    dnsPacket.encode({ type: 'query', id: 1, flags, questions: [...questions] }),
    resolver.port,
    resolver.address,
  )
  const { flag_tc: isCut } = dnsPacket.decode(await answer)
  socket.close()
  return isCut === true
}
