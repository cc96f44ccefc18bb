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
import {
  dnsCases,
  first,
  forwarded,
  hostRecords,
  namesake,
  outside,
  own,
  ownName,
  second,
  six,
  third,
  unwanted,
} from './support/dns-cases.ts'
import { Hosts } from './support/hosts.ts'
import { startMailNetwork } from './support/mail-network.ts'
import { needs } from './support/needs.ts'

const zone: KnotZone = {
  name: 'zone.test',
  records: [
    ...hostRecords,
    ...dnsCases.flatMap(one => one.records),
    'unasked MX 10 first',
    'tie MX 10 first',
    'tie MX 10 second',
  ],
}
const bogus: KnotZone = { name: 'bogus.test', records: ['@ MX 10 mx', `mx A ${first}`], isSigned: true }

const needed = await needs('knot', 'unbound')

test('mail goes where DNS says', needed, async context => {
  await using network = await startMailNetwork({
    zones: [zone, bogus],
    brokenZones: ['lame.test'],
    silentZones: ['silent.test'],
    bogusZones: ['bogus.test'],
    allowPrivate: ['127.0.0.0/25', '::1/128'],
  })
  await using receiver = await Receiver.start()
  await using hosts = await Hosts.start({
    addresses: [first, second, third, unwanted, outside, six, namesake],
    port: network.mxPort,
    to: { address: '127.0.0.1', port: receiver.port },
  })
  const door = `[[listener]]\naddress = "${own}:${network.mxPort}"\nkind = "relay"\n`
  await using _hairpin = await Hosts.start({
    addresses: [forwarded],
    port: network.mxPort,
    to: { address: own, port: network.mxPort },
  })
  await using house = await House.open(`${network.toml}messages_per_connection = 1\n${door}`, {
    hostname: ownName,
  })
  await using client = await house.client()

  const ids: string[] = []
  for (const { to } of dnsCases) ids.push(queuedId(await client.send('ann@acme.example', to, message())))
  const outcomes = await firstOutcomes(house, ids)

  for (const [index, one] of dnsCases.entries()) {
    await context.test(one.name, () => {
      const { kind, at, code, enhancedCode, says, stage = 'resolve' } = one
      const outcome = outcomes.get(ids[index]!)!
      assert.equal(outcome.kind, kind, outcome.text)
      if (at !== undefined)
        assert.equal(outcome.remoteAddress, `${at.includes(':') ? `[${at}]` : at}:${network.mxPort}`)
      if (code !== undefined) assert.equal(outcome.code, code, outcome.text)
      if (enhancedCode !== undefined) assert.equal(outcome.enhancedCode, enhancedCode, outcome.text)
      if (says !== undefined) assert.match(outcome.text, says)
      if (kind !== 'delivered') assert.equal(outcome.stage, stage)
    })
  }

  await context.test('the long answer was indeed cut off over UDP', async () => {
    assert.equal(await isTruncated(network.resolver, 'many.zone.test'), true)
    assert.equal(await isTruncated(network.resolver, 'order.zone.test'), false)
  })

  await context.test('nobody was connected to who takes no mail or was refused by the guard', () => {
    assert.ok(hosts.chosen.includes(first))
    assert.deepEqual(
      hosts.chosen.filter(one => one === outside || one === unwanted),
      [],
    )
  })

  await context.test('hosts of equal preference share the load', async () => {
    const sends = 400
    const tied: string[] = []
    for (let i = 0; i < sends; i++)
      tied.push(queuedId(await client.send('ann@acme.example', `a${i}@tie.zone.test`, message())))
    const taken = await firstOutcomes(house, tied)
    const atFirst = [...taken].filter(
      ([id, { remoteHost }]) => tied.includes(id) && remoteHost === 'first.zone.test',
    )
    // Four standard deviations: chance alone fails this once in 16,000 runs.
    assert.ok(atFirst.length > sends * 0.4 && atFirst.length < sends * 0.6, `${atFirst.length} of ${sends}`)
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
