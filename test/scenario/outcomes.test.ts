// Situation: receivers that take, put off, refuse or never answer well, and what Postrider makes of it.
//
// The local part says how the receiver behaves. Attempts follow each other after a second; nothing here depends on how
// long things take, only on what is told about them in the end.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import { nodePath } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import {
  eventsOf,
  House,
  message,
  type ShownEvent,
  type ShownMessage,
  typesOf,
  waitForAll,
  waitForEvents,
} from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let receiver: Receiver
let house: House

before(async () => {
  receiver = await Receiver.start({
    rcpt: (path, times) => {
      if (path.startsWith('greylisted')) return times <= 2 ? '451 4.7.1 come back later' : '250 2.1.5 ok'
      if (path.startsWith('unknown')) return '550 5.1.1 no such user here'
      if (path.startsWith('full')) return '452 4.2.2 mailbox full'
      return '250 2.1.5 ok'
    },
    endOfData: ({ to }) =>
      to.some(path => path.startsWith('spam')) ? '554 5.7.1 looks like spam' : '250 2.0.0 taken',
  })
  house = await House.open(`${receiver.route}[retry]\nschedule = ["1s"]\n`)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

async function submit(...to: readonly string[]): Promise<string> {
  await using client = await house.client()
  return queuedId(await client.send('ann@acme.example', to, message()))
}

const show = (id: string): Promise<ShownMessage> =>
  house.server.json<ShownMessage & Record<string, never>>('message', 'show', id)

test('a taken message is delivered, with the words, the host and the stage of the reply', async () => {
  const id = await submit('bob@there.example')
  const events = await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(typesOf(events, id), ['accepted', 'delivered'])
  const { outcome, conversation, attempt } = events.find(
    event => event.messageId === id && event.type === 'delivered',
  )!
  assert.deepEqual(
    [outcome!.kind, outcome!.code, outcome!.enhancedCode, outcome!.text, outcome!.stage, outcome!.source],
    ['delivered', 250, '2.0.0', 'taken', 'data', 'reply'],
  )
  assert.equal(outcome!.remoteAddress, `127.0.0.1:${receiver.port}`)
  assert.equal(attempt, 1)
  assert.ok(conversation!.includes('< 250 2.0.0 taken'), conversation!.join('\n'))
})

test('a greylisted recipient is deferred twice and then delivered, and says meanwhile why it waits', async () => {
  const id = await submit('greylisted@there.example')
  const events = await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(typesOf(events, id), ['accepted', 'deferred', 'deferred', 'delivered'])
  const own = events.filter(event => event.messageId === id)
  assert.deepEqual(
    own.map(event => event.attempt),
    [undefined, 1, 2, 3],
  )
  for (const { at, nextAttemptAt, outcome } of own.filter(event => event.type === 'deferred')) {
    const waitMs = Date.parse(nextAttemptAt!) - Date.parse(at)
    assert.ok(waitMs >= 890 && waitMs <= 1110, `${waitMs} ms: one second and at most a tenth of jitter`)
    assert.deepEqual([outcome!.code, outcome!.enhancedCode, outcome!.kind], [451, '4.7.1', 'deferred'])
  }
})

test('an unknown recipient is bounced at once, and the other one of the same message is delivered', async () => {
  const id = await submit('unknown@there.example', 'bob@there.example')
  const events = await waitForEvents(
    house.server,
    all => all.filter(event => event.messageId === id).length === 3,
  )
  const of = (type: string): ShownEvent =>
    events.find(event => event.messageId === id && event.type === type)!
  assert.equal(of('bounced').forwardPath, 'unknown@there.example')
  assert.equal(of('bounced').recipientId, `${id}.0`)
  const { outcome } = of('bounced')
  assert.deepEqual(
    [outcome!.code, outcome!.enhancedCode, outcome!.text, outcome!.stage, outcome!.scope, outcome!.source],
    [550, '5.1.1', 'no such user here', 'rcpt', 'recipient', 'reply'],
  )
  assert.equal(of('delivered').recipientId, `${id}.1`)
})

test('a refusal after the content speaks of the content, not of the recipient', async () => {
  const id = await submit('spam@there.example')
  const events = await waitForAll(house.server, [id], 'bounced')
  const { outcome } = events.find(event => event.messageId === id && event.type === 'bounced')!
  assert.equal(outcome!.stage, 'data')
  assert.notEqual(outcome!.scope, 'recipient')
})

test('a recipient that never works expires, with the last reply in its outcome', async () => {
  await using short = await House.open(`${receiver.route}[retry]\nschedule = ["1s"]\nexpire = "3s"\n`)
  await using client = await short.client()
  const id = queuedId(await client.send('ann@acme.example', 'full@there.example', message()))
  const events = await waitForAll(short.server, [id], 'expired')
  const types = typesOf(events, id)
  assert.equal(types[0], 'accepted')
  assert.equal(types.at(-1), 'expired')
  assert.ok(types.slice(1, -1).length > 0 && types.slice(1, -1).every(type => type === 'deferred'))
  const { outcome } = events.find(event => event.type === 'expired')!
  assert.equal(outcome!.kind, 'expired')
  assert.match(outcome!.text, /mailbox full/)
  assert.deepEqual(await short.server.json<never[]>('queue', 'list'), [])
})

test('message show has the shape of the contract, while it waits and after everything is final', async () => {
  const id = await submit('full@There.EXAMPLE', 'bob@there.example')
  await waitForAll(house.server, [id], 'deferred')
  await waitForAll(house.server, [id], 'delivered')
  const waiting = await show(id)
  assert.deepEqual(shapeOf(waiting), messageShape)
  const [full, bob] = waiting.recipients
  assert.equal(full!.forwardPath, 'full@there.example')
  assert.ok(['scheduled', 'ready', 'leased'].includes(full!.state), full!.state)
  assert.ok(full!.waitReasons.length > 0)
  assert.equal(full!.outcome!.kind, 'deferred')
  assert.equal(bob!.state, 'delivered')
  assert.deepEqual([bob!.waitReasons, bob!.nextAttemptAt], [[], null])
  await house.server.json('queue', 'expire', id, '--yes')
  await waitForAll(house.server, [id], 'expired')
  const done = await show(id)
  assert.deepEqual(shapeOf(done), messageShape)
  assert.equal(done.id, id)
  assert.equal(done.account, 'acme')
  assert.equal(done.reversePath, 'ann@acme.example')
  assert.deepEqual(
    done.recipients.map(one => [one.id, one.state, one.outcome!.kind]),
    [
      [`${id}.0`, 'expired', 'expired'],
      [`${id}.1`, 'delivered', 'delivered'],
    ],
  )
  const seqs = done.events.map(event => event.seq)
  assert.deepEqual(
    seqs,
    seqs.toSorted((a, b) => a - b),
  )
})

test('message show of an unknown or malformed id is one clear error', async () => {
  for (const id of [`msg_${'a'.repeat(26)}`, 'msg_short', '17']) {
    const { code, stderr } = await house.command('message', 'show', id, '--json')
    assert.equal(code, 1)
    const { error } = JSON.parse(stderr) as { error: Record<string, string> }
    assert.deepEqual(Object.keys(error).toSorted(), ['code', 'hint', 'message'])
    assert.ok(error['message']!.includes(id))
  }
})

test('events come in rising order from the oldest, and --after gives exactly the rest', async () => {
  await submit('bob@there.example')
  const all = await eventsOf(house.server)
  assert.ok(all.every((event, at) => at === 0 || event.seq > all[at - 1]!.seq))
  assert.ok(all.every(event => Number.isSafeInteger(event.seq) && event.seq > 0))
  assert.equal(new Set(all.map(event => event.id)).size, all.length)
  const middle = all[Math.floor(all.length / 2)]!
  const { stdout } = await house.command('events', '--after', String(middle.seq))
  const rest = stdout
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as ShownEvent)
  const wanted = all.filter(event => event.seq > middle.seq)
  assert.deepEqual(rest.slice(0, wanted.length), wanted)
  for (const { at } of all) assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('events --follow tells what comes, in the same order', async () => {
  const known = await eventsOf(house.server)
  const last = known.at(-1)!.seq
  const main = new URL('../../src/main.ts', import.meta.url).pathname
  const child = spawn(
    nodePath,
    [main, 'events', '--follow', '--after', String(last), '--config', house.server.configPath],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let text = ''
  const lines = (): string[] => text.split('\n').slice(0, -1)
  const grown = new Promise<void>(resolve =>
    child.stdout.on('data', chunk => {
      text += String(chunk)
      if (lines().some(line => line.includes('"delivered"'))) resolve()
    }),
  )
  const id = await submit('bob@there.example')
  await grown
  child.kill('SIGINT')
  await new Promise(resolve => child.once('exit', resolve))
  const seen = lines().map(line => JSON.parse(line) as ShownEvent)
  const fresh = seen.filter(event => event.messageId === id)
  assert.deepEqual(
    fresh.map(event => event.type),
    ['accepted', 'delivered'],
  )
  assert.ok(seen.every(event => event.seq > last))
})

const outcomeShape = {
  kind: 'string',
  code: 'number',
  enhancedCode: 'string',
  text: 'string',
  remoteHost: 'string',
  remoteAddress: 'string',
  stage: 'string',
  tls: 'string',
  category: 'string',
  scope: 'string',
  source: 'string',
  at: 'string',
}
const recipientShape = {
  id: 'string',
  forwardPath: 'string',
  state: 'string',
  attempts: 'number',
  nextAttemptAt: 'string or null',
  waitReasons: 'list',
  outcome: outcomeShape,
}
const messageShape = {
  id: 'string',
  account: 'string',
  reversePath: 'string',
  recipients: [recipientShape, recipientShape],
  events: 'list',
}

/** The types of the fields of the contract; fields that were added to it are not looked at. */
function shapeOf(shown: ShownMessage): unknown {
  const pick = (value: object, wanted: object): Record<string, unknown> =>
    Object.fromEntries(
      Object.keys(wanted).map(name => {
        const found = (value as Record<string, unknown>)[name]
        return [name, Array.isArray(found) ? 'list' : typeof found]
      }),
    )
  return {
    ...pick(shown, messageShape),
    recipients: shown.recipients.map(one => {
      const isInstant = one.nextAttemptAt === null || !Number.isNaN(Date.parse(one.nextAttemptAt))
      return {
        ...pick(one, recipientShape),
        nextAttemptAt: isInstant ? 'string or null' : 'something else',
        outcome: one.outcome === null ? null : pick(one.outcome, outcomeShape),
      }
    }),
  }
}
