// Situation: the DNS servers are dead, slow, broken or lie, and are well again later.
//
// One table, a fault a row, all at once on names of one real DNS server; then faults of all names, and no
// server at all. Always: mail is deferred with a sentence that names DNS, never bounced, and delivered
// without a restart once DNS is well.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { type LabDnsFault, type LabZone, startLabDns } from '../../src/lab/dns/index.ts'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { assertIsIdle, logged, waitForLog } from './support/faults.ts'
import { House, message, type ShownMessage, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const truncatedBit = 0x0200

const rows: readonly { readonly name: string; readonly fault: LabDnsFault; readonly says: RegExp }[] = [
  { name: 'a server that does not answer', fault: { kind: 'drop' }, says: /no answer within \d+ ms/ },
  {
    name: 'a server that answers too late',
    fault: { kind: 'slow', delayMs: 30_000 },
    says: /no answer within \d+ ms/,
  },
  { name: 'SERVFAIL', fault: { kind: 'servfail' }, says: /SERVFAIL/ },
  { name: 'REFUSED', fault: { kind: 'refuse' }, says: /REFUSED/ },
  {
    name: 'answers under other ids',
    fault: { kind: 'wrong-id' },
    says: /only replies to other questions came back|no answer within|the answer is broken/,
  },
  { name: 'bytes that are no DNS message', fault: { kind: 'malformed' }, says: /the answer is broken/ },
  {
    name: 'a truncated answer, and garbage by TCP',
    fault: {
      kind: 'reply',
      make: (query, right, overTcp) => {
        if (overTcp) return [Buffer.concat([query.subarray(0, 2), Buffer.alloc(40, 0xff)])]
        const cut = Buffer.from(right.subarray(0, query.length))
        cut.writeUInt16BE(cut.readUInt16BE(2) | truncatedBit, 2)
        for (const at of [6, 8, 10]) cut.writeUInt16BE(0, at)
        return [cut]
      },
    },
    says: /MX of/,
  },
  {
    name: 'answers to other questions',
    fault: {
      kind: 'reply',
      make: query => {
        const { id, questions } = decode(query)
        const other = (questions ?? []).map(one => ({ ...one, name: 'other.example' }))
        return [encode({ type: 'response', id: id!, questions: other })]
      },
    },
    says: /only replies to other questions came back|no answer within|the answer is broken/,
  },
]

const domains = [...rows.map((_, at) => `row${at}.example`), 'liar1.example', 'liar2.example', 'dead.example']
const zone: LabZone = {
  name: 'example',
  records: domains.flatMap(domain => [
    { name: domain, type: 'MX' as const, data: { preference: 10, exchange: `mx.${domain}` } },
    { name: `mx.${domain}`, type: 'A' as const, data: '127.0.0.1' },
  ]),
}

test('with DNS that is dead, broken or lies mail is deferred and says why; none bounces, and all is delivered once DNS is well', async t => {
  await using receiver = await Receiver.start()
  const dnsPort = await freePort()
  let dns = await startLabDns({ zones: [zone], port: dnsPort })
  t.after(() => dns.close())
  await using house = await House.open(
    `[dns]\nservers = ["127.0.0.1:${dnsPort}"]\n[delivery]\nport = ${receiver.port}\nallow_private = ["127.0.0.0/8"]\n[retry]\nschedule = ["2s"]\n`,
  )
  const { server } = house
  await using client = await house.client()
  const send = async (domain: string) =>
    queuedId(await client.send('ann@acme.example', `bob@${domain}`, message()))
  const deferral = async (id: string): Promise<string> => {
    const events = await waitForAll(server, [id], 'deferred', 60_000)
    const { outcome } = events.find(one => one.messageId === id && one.type === 'deferred')!
    assert.equal(outcome?.category, 'dns-failure', JSON.stringify(outcome))
    return outcome!.text
  }

  for (const [at, { fault }] of rows.entries()) dns.setFault(`row${at}.example`, fault)
  const ids: string[] = []
  for (const at of rows.keys()) ids.push(await send(`row${at}.example`))
  for (const [at, { name, says }] of rows.entries())
    await t.test(name, async () => {
      assert.match(await deferral(ids[at]!), says)
      const shown = await server.json<ShownMessage & Record<string, never>>('message', 'show', ids[at]!)
      const [recipient] = shown.recipients
      assert.match(recipient!.outcome!.text, new RegExp(`row${at}\\.example`))
      // The site may be well: nobody knows. It is not called unreachable.
      if (recipient!.state === 'scheduled') assert.equal(recipient!.waitReasons[0]?.reason, 'next-attempt')
    })
  await t.test('and with DNS that is well again all of them are delivered', async () => {
    for (const at of rows.keys()) dns.setFault(`row${at}.example`, null)
    await waitForAll(server, ids, 'delivered', 60_000)
  })

  for (const [kind, domain] of [
    ['nxdomain', 'liar1.example'],
    ['empty', 'liar2.example'],
  ] as const)
    await t.test(`servers that say ${kind} to everything`, async () => {
      dns.setFault('*', { kind })
      const id = await send(domain)
      assert.match(await deferral(id), /not believed; look at \[dns\] servers/)
      await waitForLog(() => server.output, 'dns.not-believed')
      dns.setFault('*', null)
      await waitForAll(server, [id], 'delivered', 60_000)
    })

  await t.test('no server at all', async () => {
    await dns.close()
    const id = await send('dead.example')
    assert.match(await deferral(id), /MX of dead\.example/)
    await waitForLog(() => server.output, 'dns.server-down')
    await assertIsIdle(server.processId)
    dns = await startLabDns({ zones: [zone], port: dnsPort })
    await waitForAll(server, [id], 'delivered', 60_000)
    await waitForLog(() => server.output, 'dns.server-up')
  })

  await t.test('what really does not exist still bounces', async () => {
    const id = await send('nosuch.example')
    const events = await waitForAll(server, [id], 'bounced')
    assert.deepEqual(
      events.filter(one => one.type === 'bounced').map(one => one.messageId),
      [id],
      'and it alone',
    )
    assert.ok(logged(server.output, 'dns.not-believed').length <= 2, 'told once in a while')
  })
})
