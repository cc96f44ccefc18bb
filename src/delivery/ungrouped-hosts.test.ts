// Hosts that lose commands which come together with the end of a content: they stand still once, and no mail suffers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness, planOf } from './testing/harness.ts'
import { type Receiver, startReceiver } from './testing/receiver.ts'
import { UngroupedHosts } from './ungrouped-hosts.ts'

const count = 12
const settings = { connectionsPerHost: 1 }

function startHarness(mx: Receiver): Harness {
  const harness = new Harness(mx.port, settings)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.2']))
  return harness
}

/** Until nothing was settled for a while: what can go without waiting has gone, however busy the machine. */
async function untilQuiet(harness: Harness): Promise<void> {
  for (let [left, settled] = [15, -1]; left > 0; left--) {
    await new Promise(resolve => setTimeout(resolve, 5))
    if (harness.settled.length !== settled) [left, settled] = [15, harness.settled.length]
  }
}

/** Sends mail, and lets seconds pass until all is settled; how many went by. */
async function sendAll(harness: Harness, name: string): Promise<number> {
  const before = harness.settled.length
  for (let i = 0; i < count; i++) harness.send([`${name}${i}@b.test`])
  for (let seconds = 0; ; seconds++) {
    await untilQuiet(harness)
    if (harness.settled.length === before + count || seconds > 120) return seconds
    harness.advance(1_000)
  }
}

test('a host that loses what follows a content is waited for once, each mail comes once, with one attempt counted', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2', keepsOfFollowing: () => '' })
  const harness = startHarness(mx)
  const seconds = await sendAll(harness, 'first')
  assert.ok(seconds >= 15 && seconds <= 20, `${seconds} seconds`)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
  assert.equal(mx.messages.length, count)
  assert.equal(mx.connections, 2)
  assert.equal(await sendAll(harness, 'second'), 0)
  assert.equal(mx.messages.length, 2 * count)
  assert.equal(mx.connections, 2)
  assert.equal(harness.openMarks.size, 0)
  await harness.close()
})

const losses: readonly (readonly [what: string, keeps: (following: string) => string])[] = [
  ['the beginning of MAIL', following => following.slice(10)],
  ['MAIL', following => following.slice(following.indexOf('\r\n') + 2)],
  ['all but a piece of DATA', following => following.slice(-4)],
]

for (const [what, keepsOfFollowing] of losses)
  test(`a host that loses ${what} and answers the rest with 500 or 503 bounces nothing, and is asked again at once`, async () => {
    await using mx = await startReceiver({ address: '127.0.0.2', keepsOfFollowing })
    const harness = startHarness(mx)
    assert.equal(await sendAll(harness, 'to'), 0)
    assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
    assert.equal(mx.messages.length, count)
    assert.equal(mx.connections, 2)
    assert.equal(await sendAll(harness, 'next'), 0)
    assert.equal(mx.connections, 2)
    await harness.close()
  })

for (const [what, options] of [
  ['loses the beginning of MAIL', { keepsOfFollowing: (following: string) => following.slice(10) }],
  [
    'says 421 to the next MAIL',
    { onMail: (number: number) => (number === 2 ? '421 4.7.0 one is enough' : '250 ok') },
  ],
] as const)
  test(`a host that took a stored message and ${what} in the same read has answered: nothing is deferred`, async () => {
    await using mx = await startReceiver({ address: '127.0.0.2', ...options })
    const harness = startHarness(mx)
    harness.send(['stored@b.test'], { isStored: true })
    while (!mx.commands.includes('DATA')) await new Promise(resolve => setImmediate(resolve))
    for (const name of ['one', 'two', 'three']) harness.send([`${name}@b.test`])
    await harness.settledCount(4)
    assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
    await harness.close()
  })

test('a host that says 503 to each MAIL but the first of a connection is believed where it was asked alone', async () => {
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onMail: number => (number > 1 ? '503 5.5.1 once is enough' : '250 ok'),
  })
  const harness = startHarness(mx)
  await sendAll(harness, 'to')
  const kinds = harness.kinds().map(kind => kind.split(' ')[1])
  assert.ok(kinds.includes('bounced'), 'its word counts in the end')
  assert.ok(mx.connections <= 3, `${mx.connections} connections`)
  await harness.close()
})

test('a host that has only become slow at MAIL is not taken for one that is dead', async () => {
  // The first answer comes at once; the second one never, on the first connection.
  await using mx = await startReceiver({
    address: '127.0.0.2',
    onMail: number => (number === 2 && mx.connections === 1 ? 'silence' : '250 ok'),
  })
  const harness = startHarness(mx)
  await sendAll(harness, 'to')
  assert.equal(harness.kinds().filter(kind => kind.endsWith(' delivered')).length, count)
  assert.equal(mx.connections, 2)
  await harness.close()
})

test('a host is remembered for a day, and the oldest is forgotten when there are too many', () => {
  const hosts = new UngroupedHosts()
  hosts.note('192.0.2.1:25', 1_000)
  assert.ok(hosts.has('192.0.2.1:25', 86_400_999))
  assert.ok(!hosts.has('192.0.2.1:25', 86_401_000))
  assert.ok(!hosts.has('192.0.2.1:26', 1_000))
  for (let i = 0; i < 10_000; i++) hosts.note(`198.51.100.1:${i}`, 2_000)
  assert.ok(!hosts.has('192.0.2.1:25', 3_000))
  assert.ok(hosts.has('198.51.100.1:0', 3_000))
})
