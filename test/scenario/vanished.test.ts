// Situation: clients and receivers vanish without a word, in every phase: the cable is pulled, a router forgets, a program
// hangs. No FIN and no RST tells of it; a deadline must.
//
// 1. Clients of a far side come to their posts, and messages to the points where its receivers fall silent.
// 2. The line is cut, and more is sent there: over a connection that was kept, and to hosts that answer no more.
// 3. Every place, connection and descriptor is given back, while ordinary mail goes on and the line is still cut.
// 4. The line is mended: every message arrives, once.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { FarSide } from './support/far-side.ts'
import { message, type ShownEvent, waitForEvents } from './support/house.ts'
import { describe, Siege } from './support/siege.ts'

/** Clients at each post, and messages at each point. */
const each = 5
const large = `${'m'.repeat(76)}\r\n`.repeat(100_000)

/**
 * Where a receiver vanishes: it has DATA, some of the content, all of it and has not answered; while it has a connection
 * that is kept; before anything is sent there.
 */
const silentPoints = ['data', 'content', 'end'] as const
const points = [...silentPoints, 'kept', 'gone'] as const
type Point = (typeof points)[number]

const ways = [
  ...(FarSide.hasCables
    ? [{ name: 'a pulled cable', domain: 'cable.example', open: FarSide.behindCable }]
    : []),
  { name: 'a stopped program', domain: 'stopped.example', open: FarSide.asProgram },
]

interface Watched {
  readonly way: (typeof ways)[number]
  readonly side: FarSide
  readonly relay: number
  readonly submissions: number
  /** What was sent there, in order. */
  readonly ids: Map<string, Point>
}

const toml = [
  '[limits]\nidle = "6s"\ndata_idle = "6s"\nhandshake = "6s"\nunread_replies = "6s"',
  '[retry]\nschedule = ["1h"]',
  '[delivery]\nidle_connection = "3s"',
  ...['connect', 'greeting', 'command', 'data', 'end_of_data'].map(name => `${name}_timeout = "3s"`),
].join('\n')

let siege: Siege
let calmDescriptors: number
const watched: Watched[] = []
/** The events until the lines are mended. */
let whileCut: readonly ShownEvent[] = []

before(async () => {
  let sections = ''
  for (const way of ways) {
    const side = await way.open()
    side.order({ listen: side.far })
    const { ports } = await side.reported('ports')
    const [relay, submissions] = [await freePort(), await freePort()]
    sections += [
      `[[listener]]\naddress = "${side.near}:${relay}"\nkind = "relay"\naccount = "acme"`,
      `networks = ["${side.far}/32"]`,
      `[[listener]]\naddress = "${side.near}:${submissions}"\nkind = "submissions"\n`,
    ].join('\n')
    for (const point of points)
      sections += `[[route]]\nrecipient_domain = "${point}.${way.domain}"\nsmarthost = "${side.far}:${ports[point] ?? ports['kept']}"\n`
    watched.push({ way, side, relay, submissions, ids: new Map() })
  }
  siege = await Siege.open({ toml: `${toml}\n${sections}` })
  calmDescriptors = siege.descriptors
})
after(async () => {
  await siege?.[Symbol.asyncDispose]()
  for (const { side } of watched) await side[Symbol.asyncDispose]()
})

/** Sends to a point of a far side. */
async function send({ way, ids }: Watched, point: Point, count: number): Promise<void> {
  await using client = await siege.house.client()
  const body = point === 'content' ? large : 'small'
  for (let i = 0; i < count; i++) {
    const to = `u${ids.size}@${point}.${way.domain}`
    ids.set(queuedId(await client.send('ann@acme.example', to, message([], body))), point)
  }
}

/** Everybody to his place. */
async function approach(one: Watched): Promise<void> {
  const { side, relay, submissions } = one
  // One goes over, and leaves a connection that is kept for the next.
  await send(one, 'kept', 1)
  await side.reported('taken')
  for (const point of silentPoints) await send(one, point, each)
  await until('every receiver has fallen silent', () =>
    silentPoints.every(point => side.reports('fell').some(({ fell }) => fell === point)),
  )
  const { username, secret } = siege.house.login
  const doors = { host: side.near, from: side.far, relay, submissions, username, secret }
  side.order({ stand: { doors, each } })
  const { stands } = await side.reported('stands')
  for (const [post, count] of Object.entries(stands))
    assert.equal(count, each, `clients that stand at "${post}" when the line is cut`)
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  while (!(await isSo())) {
    assert.ok(performance.now() < endMs, `not in a minute: ${what}`)
    await sleep(50)
  }
}

/** Events of one type, by message. */
function byMessage(events: readonly ShownEvent[], type: string): Map<string, ShownEvent> {
  return new Map(events.filter(one => one.type === type).map(one => [one.messageId!, one]))
}

test('clients and receivers that vanish have a place until their deadline and no longer, and ordinary mail goes on', {
  timeout: 180_000,
}, async t => {
  const cost = await siege.during(async () => {
    await Promise.all(watched.map(approach))
    for (const { side } of watched) side.cut()
    for (const one of watched) for (const point of ['kept', 'gone'] as const) await send(one, point, each)
    whileCut = await waitForEvents(siege.house.server, events => {
      const deferred = byMessage(events, 'deferred')
      return watched.every(({ ids }) => [...ids.keys()].slice(1).every(id => deferred.has(id)))
    })
  }, 128)
  t.diagnostic(describe(cost))
  for (const metric of ['postrider_sessions_open', 'postrider_connections_open'])
    await until(`${metric} is 0`, async () => (await siege.metric(metric)) === 0)
  await siege.waitForDescriptors(calmDescriptors + 10)
})

for (const { name } of ways) {
  const own = (): Watched => watched.find(({ way }) => way.name === name)!

  test(`${name}: nothing is said to be delivered to a receiver that has vanished`, () => {
    const delivered = byMessage(whileCut, 'delivered')
    const [first, ...others] = own().ids.keys()
    assert.ok(delivered.has(first!), 'the one that was answered before')
    for (const id of others) assert.ok(!delivered.has(id))
  })

  test(`${name}: a message whose end has arrived is uncertain, and none whose end had not left`, () => {
    const deferred = byMessage(whileCut, 'deferred')
    const { ids, side } = own()
    const arrived = new Set(side.reports('fell').flatMap(({ fell, to }) => (fell === 'end' ? to : [])))
    assert.ok(arrived.size > 0)
    for (const [id, point] of [...ids].slice(1)) {
      const { forwardPath, outcome } = deferred.get(id)!
      assert.match(outcome!.text, /did not answer in time|EHOSTUNREACH/)
      // An end may also have left in the moment of the cut.
      if (point === 'end' && !arrived.has(forwardPath!)) continue
      assert.equal(outcome!.isUncertain ?? false, point === 'end', `${point}: ${outcome!.text}`)
    }
  })

  test(`${name}: when it is back every message arrives, once`, { timeout: 120_000 }, async () => {
    const { side, ids } = own()
    side.order({ speak: true })
    side.mend()
    await siege.house.server.json('queue', 'retry', '--all', '--yes')
    const events = await waitForEvents(siege.house.server, all => {
      const delivered = byMessage(all, 'delivered')
      return [...ids.keys()].every(id => delivered.has(id))
    })
    await until('the far side has told all', () => tally(side).size >= ids.size)
    const isUncertain = new Set(
      events.filter(one => one.outcome?.isUncertain === true).map(one => one.forwardPath!),
    )
    for (const [to, times] of tally(side))
      assert.ok(times === 1 || isUncertain.has(to), `${to} has got it ${times} times`)
  })
}

/** How often each recipient of a far side has got its message. */
function tally(side: FarSide): Map<string, number> {
  const times = new Map<string, number>()
  for (const to of side.reports('taken').flatMap(({ taken }) => taken))
    times.set(to, (times.get(to) ?? 0) + 1)
  return times
}
