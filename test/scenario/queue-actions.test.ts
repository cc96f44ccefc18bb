// Situation: mail waits, and the operator looks at it and acts: hold, release, retry, reroute, expire, on filters.
//
// The next attempt is an hour away, so that nothing moves by itself.

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { eventsOf, House, type Login, message, typesOf, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

interface Row {
  readonly recipientId: string
  readonly messageId: string
  readonly forwardPath: string
  readonly state: string
  readonly attempts: number
  readonly nextAttemptAt: string | null
  readonly waitReasons: readonly { readonly reason: string; readonly detail: string }[]
}

let isOpen = false
let receiver: Receiver
let elsewhere: Receiver
let house: House
let rival: Login

before(async () => {
  receiver = await Receiver.start({ rcpt: () => (isOpen ? '250 2.1.5 ok' : '451 4.3.0 not now') })
  elsewhere = await Receiver.start()
  house = await House.open(`${receiver.route}[retry]\nschedule = ["1h"]\n`)
  await house.server.json('account', 'create', 'rival')
  await house.server.json('domain', 'add', '--account', 'rival', '--trust', '--no-dkim', 'rival.example')
  rival = await house.server.json<Login>(...(['credential', 'create', '--account', 'rival'] as const))
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  await elsewhere[Symbol.asyncDispose]()
})
beforeEach(async () => {
  isOpen = false
  await house.command('queue', 'expire', '--all', '--yes')
})

const list = (...args: readonly string[]): Promise<Row[]> =>
  house.server.json<Row[] & Record<string, never>>('queue', 'list', ...args)

/** Submits and waits for the first deferral. */
async function waiting(to: string | readonly string[], login?: Login): Promise<string> {
  await using client = await house.client(login)
  const domain = login === rival ? 'rival' : 'acme'
  const text = message().replace('ann@acme.example', `ann@${domain}.example`)
  const id = queuedId(await client.send(`ann@${domain}.example`, to, text))
  await waitForEvents(house.server, events => {
    const ends = events.filter(event => event.messageId === id && event.type === 'deferred')
    return ends.length === (typeof to === 'string' ? 1 : to.length)
  })
  return id
}

/** Runs an action; gives how many it changed. */
async function act(...args: readonly string[]): Promise<number> {
  const { done } = await house.server.json<{ done: number } & Record<string, never>>(
    'queue',
    ...args,
    '--yes',
  )
  return done
}

test('queue list shows every waiting recipient with its reason and the time of the next attempt', async () => {
  const id = await waiting(['a@one.example', 'b@two.example'])
  const rows = await list()
  assert.deepEqual(
    rows.map(row => [row.recipientId, row.messageId, row.forwardPath, row.state, row.attempts]),
    [
      [`${id}.0`, id, 'a@one.example', 'scheduled', 1],
      [`${id}.1`, id, 'b@two.example', 'scheduled', 1],
    ],
  )
  for (const { nextAttemptAt, waitReasons } of rows) {
    const inMs = Date.parse(nextAttemptAt!) - Date.now()
    assert.ok(inMs > 3_000_000 && inMs < 4_000_000, String(inMs))
    assert.deepEqual(
      waitReasons.map(({ reason }) => reason),
      ['next-attempt'],
    )
    assert.ok(waitReasons[0]!.detail.includes(nextAttemptAt!))
  }
})

test('queue list goes on where it ended', async () => {
  await waiting(['a@one.example', 'b@one.example', 'c@one.example'])
  const first = await house.command('queue', 'list', '--limit', '2', '--json')
  const cursor = /--cursor (\S+)/.exec(first.stderr)?.[1]
  assert.ok(cursor !== undefined, first.stderr)
  const rest = await list('--limit', '2', '--cursor', cursor)
  const all = [...(JSON.parse(first.stdout) as Row[]), ...rest].map(row => row.forwardPath)
  assert.deepEqual(all, ['a@one.example', 'b@one.example', 'c@one.example'])
})

test('hold keeps what a filter matches, says why it waits, and touches nothing else', async () => {
  const id = await waiting(['a@one.example', 'b@two.example'])
  assert.equal(await act('hold', '--domain', 'one.example', '--note', 'asked by Carol'), 1)
  const [held, other] = await list()
  assert.deepEqual([held!.state, held!.nextAttemptAt], ['held', null])
  assert.equal(held!.waitReasons[0]!.reason, 'held-by-operator')
  assert.match(held!.waitReasons[0]!.detail, /asked by Carol/)
  assert.equal(other!.state, 'scheduled')
  const event = (await eventsOf(house.server)).find(one => one.type === 'held' && one.messageId === id)
  assert.deepEqual([event!.recipientId, event!.by, event!.note], [`${id}.0`, 'operator', 'asked by Carol'])
  assert.equal(await act('retry', '--domain', 'one.example'), 0, 'a held one is not tried')
})

test('release lets held mail go at once', async () => {
  const id = await waiting('a@one.example')
  await act('hold', id)
  isOpen = true
  assert.equal(await act('release', id), 1)
  const events = await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(typesOf(events, id), ['accepted', 'deferred', 'held', 'released', 'delivered'])
  assert.deepEqual(await list(), [])
})

test('retry makes an attempt now, of one recipient by its id', async () => {
  const id = await waiting(['a@one.example', 'b@two.example'])
  isOpen = true
  assert.equal(await act('retry', `${id}.1`), 1)
  await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(
    (await list()).map(row => row.recipientId),
    [`${id}.0`],
  )
})

test('reroute sends to another smarthost, of one account only', async () => {
  const own = await waiting('a@one.example')
  const foreign = await waiting('a@one.example', rival)
  const smarthost = `127.0.0.1:${elsewhere.port}`
  assert.equal(await act('reroute', '--account', 'rival', '--smarthost', smarthost), 1)
  const events = await waitForAll(house.server, [foreign], 'delivered')
  assert.deepEqual(typesOf(events, foreign), ['accepted', 'deferred', 'rerouted', 'delivered'])
  assert.equal(events.findLast(event => event.messageId === foreign)!.outcome!.remoteAddress, smarthost)
  assert.deepEqual(
    (await list()).map(row => row.messageId),
    [own],
  )
})

test('expire gives up what it matches, and message show says that the operator did it', async () => {
  const id = await waiting(['a@one.example', 'b@two.example'])
  await act('hold', `${id}.0`)
  assert.equal(await act('expire', id), 2, 'held ones too')
  const events = await waitForAll(house.server, [id], 'expired')
  assert.deepEqual(typesOf(events, id).slice(-2), ['expired', 'expired'])
  const { outcome } = events.findLast(event => event.messageId === id)!
  assert.deepEqual([outcome!.kind, outcome!.source, outcome!.stage], ['expired', 'local', 'queue'])
})

test('states filter, and an action on mail in flight is refused with a next step', async () => {
  await waiting(['a@one.example', 'b@one.example'])
  await act('hold', '--recipient', (await list())[0]!.recipientId)
  assert.equal((await list('--state', 'held')).length, 1)
  assert.equal((await list('--state', 'scheduled')).length, 1)
  const refused = await house.command('queue', 'hold', '--state', 'leased', '--yes', '--json')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /in flight/)
})

test('a mass change is not made without being confirmed, and not without saying which', async () => {
  await waiting(['a@one.example', 'b@one.example'])
  const unsure = await house.command('queue', 'expire', '--domain', 'one.example', '--json')
  assert.equal(unsure.code, 1)
  assert.match(unsure.stderr, /not-confirmed|--yes/)
  const unclear = await house.command('queue', 'expire', '--yes', '--json')
  assert.equal(unclear.code, 2)
  assert.match(unclear.stderr, /--all/)
  assert.equal((await list()).length, 2)
})

test('a smarthost that cannot be reached is waited for, and the reason names it', async () => {
  const port = await freePort()
  const id = await waiting('a@one.example')
  await act('reroute', id, '--smarthost', `127.0.0.1:${port}`)
  await waitForEvents(
    house.server,
    events => events.filter(event => event.messageId === id && event.type === 'deferred').length === 2,
  )
  const event = (await eventsOf(house.server)).findLast(one => one.messageId === id)
  assert.equal(event!.outcome!.stage, 'connect')
  const [row] = await list()
  assert.ok(['next-attempt', 'site-unreachable'].includes(row!.waitReasons[0]!.reason))
  const back = await Receiver.start({ port })
  await act('retry', id)
  await waitForAll(house.server, [id], 'delivered')
  await back[Symbol.asyncDispose]()
})
