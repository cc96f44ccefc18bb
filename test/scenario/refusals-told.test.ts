// Situation: the protocol itself refuses what an application sends (an address that is none, a message that is too large,
// lone line ends). The operator is asked why the mail did not come, and finds it in the event log.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SmtpClient } from './support/client.ts'
import { eventsOf, House, message, type ShownEvent, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const from = 'ann@acme.example'
const to = 'bob@there.example'
let receiver: Receiver
let house: House

before(async () => {
  receiver = await Receiver.start()
  house = await House.open(`${receiver.route}[limits]\nmessage_size = "128KiB"\n`)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

type Script = (client: SmtpClient) => Promise<unknown>
type Told = readonly [code: number, enhancedCode: string, reversePath: string, forwardPath: string]

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))
const bdat: Script = async client => {
  await client.command(`MAIL FROM:<${from}>`)
  await client.command(`RCPT TO:<${to}>`)
  const content = `${message([], 'one\ntwo')}\r\n`
  client.write(`BDAT ${content.length} LAST\r\n${content}`)
  return await client.expect(550)
}

/** What a client does, and what the event must say of it. */
const cases: readonly (readonly [name: string, script: Script, told: Told])[] = [
  [
    'a sender that is no address',
    client => client.command('MAIL FROM:<ann@@acme.example>'),
    [501, '5.1.7', 'ann@@acme.example', ''],
  ],
  [
    'a message that says that it is too large',
    client => client.command(`MAIL FROM:<${from}> SIZE=140000`),
    [552, '5.3.4', from, ''],
  ],
  [
    'a recipient that is no address',
    client => client.send(from, 'bob@xn--a.example', message()),
    [501, '5.1.3', from, 'bob@xn--a.example'],
  ],
  ['a content that is too large', client => client.send(from, to, large), [552, '5.3.4', from, to]],
  [
    'a content with a lone LF',
    client => client.send(from, to, message([], 'one\ntwo')),
    [550, '5.6.0', from, to],
  ],
  ['the same by BDAT', bdat, [550, '5.6.0', from, to]],
]

for (const [name, script, told] of cases)
  test(`${name} is refused, and the event log says so once`, async () => {
    const seen = (await eventsOf(house.server)).length
    await using client = await house.client()
    await script(client)
    const events = await waitForEvents(house.server, all => all.length > seen, 5000)
    const fresh = events.slice(seen)
    assert.deepEqual(
      fresh.map(event => [event.type, event.code, event.enhancedCode, event.reversePath, event.forwardPath]),
      [['rejected', ...told]],
    )
    assert.equal(fresh[0]!.clientAddress, '127.0.0.1')
    assert.equal(fresh[0]!.account !== null, true)
  })

test('the log and the metric tell it too', async () => {
  assert.match(house.server.output, /"event":"message\.rejected","reason":"protocol"/)
  const metrics = await (await fetch(`http://127.0.0.1:${house.server.httpPort}/metrics`)).text()
  assert.match(metrics, /postrider_messages_rejected_total\{reason="protocol"\} [1-9]/)
})

test('of a stranger nothing is written: he must not be able to fill the log', async () => {
  const seen = (await eventsOf(house.server)).length
  await using client = await SmtpClient.connect(house.ports.submission)
  await client.hello()
  await client.startTls()
  assert.equal((await client.command('MAIL FROM:<ann@@acme.example>')).code, 530)
  await using known = await house.client()
  await known.command('MAIL FROM:<x@@acme.example>')
  const events: readonly ShownEvent[] = await waitForEvents(house.server, all => all.length > seen, 5000)
  assert.deepEqual(
    events.slice(seen).map(event => event.reversePath),
    ['x@@acme.example'],
  )
})
