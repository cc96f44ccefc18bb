import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arguments } from './command.ts'
import type { ControlClient, ControlOutcome } from './index.ts'
import { connectControl } from './index.ts'
import { messageCommands } from './messages.ts'
import { ControlTestBed, type StoredMessage, startMs } from './test-kit.ts'

/** The fields that the cases look at. */
type Field =
  | 'account'
  | 'domain'
  | 'done'
  | 'event'
  | 'failureReport'
  | 'forwardPath'
  | 'id'
  | 'inFlight'
  | 'kind'
  | 'listeners'
  | 'messageId'
  | 'name'
  | 'nextAttemptAt'
  | 'openRecipients'
  | 'outcome'
  | 'purpose'
  | 'reason'
  | 'recipient'
  | 'attempts'
  | 'recipientId'
  | 'records'
  | 'reversePath'
  | 'secret'
  | 'seq'
  | 'state'
  | 'status'
  | 'type'
  | 'username'
  | 'version'
  | 'waitReasons'
type Row = Partial<Record<Field, unknown>>

interface Session extends AsyncDisposable {
  readonly bed: ControlTestBed
  readonly client: ControlClient
}

async function open(): Promise<Session> {
  const bed = await ControlTestBed.open()
  const connected = await connectControl(bed.serverPath)
  assert.ok(connected.ok)
  const { client } = connected
  return {
    bed,
    client,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]()
      await bed[Symbol.asyncDispose]()
    },
  }
}

function value<T = Row>(outcome: ControlOutcome): T {
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.message)
  return outcome.value as T
}

function outcomeOf(recipient: Row | undefined): Row {
  return (recipient?.outcome ?? {}) as Row
}

function reasonsOf(row: Row | undefined): unknown[] {
  return ((row?.waitReasons ?? []) as Row[]).map(one => one.reason)
}

function code(outcome: ControlOutcome): string {
  return outcome.ok ? '' : outcome.error.code
}

/** `message.show` as the command line puts it together. */
async function show(
  client: ControlClient,
  id: string,
): Promise<{ head: Row; recipients: Row[]; events: Row[] }> {
  const recipients: Row[] = []
  const events: Row[] = []
  const head = value(
    await client.call('message.show', { message: id }, item => {
      const { recipient, event } = item as { recipient?: Row; event?: Row }
      if (recipient !== undefined) recipients.push(recipient)
      if (event !== undefined) events.push(event)
    }),
  )
  return { head, recipients, events }
}

test('accounts, credentials and domains have the shapes of the contract', async () => {
  await using session = await open()
  const { client } = session
  const account = value(await client.call('account.create', { name: 'shop' }))
  assert.match(String(account.id), /^acc_[a-z2-7]{26}$/)
  assert.equal(account.name, 'shop')
  const credential = value(await client.call('credential.create', { account: 'shop', kind: 'api' }))
  assert.match(String(credential.id), /^crd_/)
  assert.equal(credential.username, 'apikey')
  assert.equal(typeof credential.secret, 'string')
  const domain = value(
    await client.call('domain.add', { account: String(account.id), domain: 'Shop.Example', trust: true }),
  )
  assert.equal(domain.domain, 'shop.example')
  assert.equal(domain.status, 'trusted')
  for (const record of domain.records as Row[])
    assert.deepEqual(Object.keys(record).sort(), ['name', 'purpose', 'status', 'type', 'value'])
  assert.ok((domain.records as Row[]).some(record => record.purpose === 'dkim'))
  const unsigned = value(
    await client.call('domain.add', { account: 'shop', domain: 'b.example', dkim: false }),
  )
  assert.equal(unsigned.status, 'pending')
  assert.ok(!(unsigned.records as Row[]).some(record => record.purpose === 'dkim'))
  assert.equal(code(await client.call('domain.verify', { domain: 'b.example' })), 'not-available')
  const vouched = value(
    await client.call('domain.add', { account: 'shop', domain: 'b.example', trust: true }),
  )
  assert.deepEqual([Object.keys(vouched), vouched.status], [Object.keys(domain), 'trusted'])
  assert.equal(value(await client.call('domain.verify', { domain: 'b.example' })).status, 'trusted')
  assert.equal(value(await client.call('domain.verify', { domain: 'shop.example' })).status, 'trusted')
})

test('a change is answered only after every thread has forgotten what it knew', async () => {
  await using session = await open()
  const { bed, client } = session
  await client.call('account.create', { name: 'shop' })
  await client.call('account.create', { name: 'shop' })
  await client.call('account.list')
  const credential = value(await client.call('credential.create', { account: 'shop' }))
  await client.call('credential.revoke', { credential: String(credential.id) })
  await client.call('stream.update', { account: 'shop', stream: 'default', failureReport: 'event+dsn' })
  assert.deepEqual(bed.told, Array(4).fill('accountsChanged'), 'not for the one refused, nor for a list')
  const streams: Row[] = []
  await client.call('stream.list', { account: 'shop' }, row => void streams.push(row as Row))
  assert.deepEqual(
    streams.map(({ name, failureReport }) => [name, failureReport]),
    [['default', 'event+dsn']],
  )
})

test('wrong arguments are errors with a code, a sentence and a next step', async () => {
  await using session = await open()
  const { client } = session
  for (const [command, given] of [
    ['account.create', {}],
    ['account.create', { name: 7 }],
    ['credential.create', { account: 'a', kind: 'telnet' }],
    ['queue.list', { message: 'msg_nonsense' }],
    ['queue.list', { recipient: 'msg_a.1' }],
    ['queue.list', { domain: 'no domain' }],
    ['queue.list', { limit: 0 }],
    ['queue.list', { acount: 'a' }],
    ['queue.act', { action: 'explode' }],
    ['queue.act', { action: 'reroute' }],
    ['queue.act', { action: 'hold', state: 'leased' }],
    ['message.show', { message: 'x' }],
  ] as const) {
    const outcome = await client.call(command, given)
    assert.equal(code(outcome), 'invalid', `${command} ${JSON.stringify(given)}`)
    assert.ok(!outcome.ok && outcome.error.message !== '' && outcome.error.hint !== '')
  }
  assert.equal(code(await client.call('credential.create', { account: 'nobody' })), 'not-found')
  assert.equal(code(await client.call('message.show', { message: `msg_${'a'.repeat(26)}` })), 'not-found')
})

test('queue list pages through waiting recipients with their reasons', async () => {
  await using session = await open()
  const { bed, client } = session
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test', 'c@two.test'] })
  const first = value<{ items: Row[]; cursor: string | null }>(await client.call('queue.list', { limit: 2 }))
  assert.equal(first.items.length, 2)
  const next = value<{ items: Row[]; cursor: string | null }>(
    await client.call('queue.list', { limit: 2, cursor: first.cursor ?? '' }),
  )
  assert.equal(next.cursor, null)
  assert.deepEqual(
    [...first.items, ...next.items].map(row => row.recipientId),
    [0, 1, 2].map(number => `${message.text}.${number}`),
  )
  assert.deepEqual(Object.keys(first.items[0] ?? {}), [
    'recipientId',
    'messageId',
    'forwardPath',
    'state',
    'attempts',
    'nextAttemptAt',
    'waitReasons',
    'outcome',
  ])
  assert.equal(first.items[0]?.outcome, null)
  assert.equal(first.items[0]?.nextAttemptAt, new Date(startMs + 60_000).toISOString())
  assert.deepEqual(reasonsOf(first.items[0]), ['first-attempt'])
  const filtered = value<{ items: Row[] }>(await client.call('queue.list', { domain: 'TWO.test' }))
  assert.deepEqual(
    filtered.items.map(row => row.forwardPath),
    ['c@two.test'],
  )
})

test('queue list tells the last outcome of who was deferred', async () => {
  await using session = await open()
  const { bed, client } = session
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'], startState: 'leased' })
  await bed.settle(message, 0, 'deferred')
  const { items } = value<{ items: Row[] }>(await client.call('queue.list', { state: 'scheduled' }))
  assert.deepEqual(
    items.map(row => row.recipientId),
    [`${message.text}.0`],
  )
  const { kind, code: replied, text } = outcomeOf(items[0]) as Record<string, unknown>
  assert.deepEqual([kind, replied, text], ['deferred', 451, 'as told'])
})

test('an action calls ready recipients back, says who is in flight, and lets leasing go on', async () => {
  await using session = await open()
  const { bed, client } = session
  const waiting = await bed.accept({ to: ['a@one.test', 'b@two.test'] })
  const leased = await bed.accept({ to: ['c@one.test', 'd@one.test'], startState: 'leased' })
  bed.ready.push({ message: leased, number: 0 })
  const progress: Row[] = []
  const held = value(
    await client.call('queue.act', { action: 'hold', domain: 'one.test', note: 'waiting for Bob' }, item => {
      progress.push(item as Row)
    }),
  )
  assert.deepEqual({ done: held.done, inFlight: held.inFlight }, { done: 2, inFlight: 1 })
  assert.deepEqual(progress.at(-1), { done: 2, total: 2 })
  assert.deepEqual(bed.told, ['recall', 'wake'])
  const rows = value<{ items: Row[] }>(await client.call('queue.list', { state: 'held' })).items
  assert.deepEqual(
    rows.map(row => row.recipientId),
    [`${waiting.text}.0`, `${leased.text}.0`],
  )
  assert.deepEqual(rows[0]?.waitReasons, [
    {
      reason: 'held-by-operator',
      detail: 'held by the operator; postrider queue release lets it go: waiting for Bob',
    },
  ])
  assert.equal(
    value(await client.call('queue.act', { action: 'release', recipient: `${leased.text}.0` })).done,
    1,
  )
  assert.equal(value(await client.call('queue.act', { action: 'expire', state: 'held' })).done, 1)
  const { recipients } = await show(client, waiting.text)
  assert.deepEqual(
    recipients.map(one => one.state),
    ['expired', 'scheduled'],
  )
})

test('a message has one shape from acceptance to long after its last delivery', async () => {
  await using session = await open()
  const { bed, client } = session
  value(await client.call('account.create', { name: 'shop' }))
  const message = await bed.accept({ to: ['a@one.test', 'b@one.test'], startState: 'leased' })
  const before = await show(client, message.text)
  assert.equal(before.head.account, 'shop')
  assert.equal(before.head.reversePath, 'sender@example.test')
  assert.deepEqual(
    before.recipients.map(one => [one.state, one.outcome]),
    [
      ['leased', null],
      ['leased', null],
    ],
  )
  await bed.settle(message, 0, 'deferred')
  const during = await show(client, message.text)
  const [first] = during.recipients
  assert.equal(first?.state, 'scheduled')
  assert.equal(first?.nextAttemptAt, new Date(startMs + 300_000).toISOString())
  assert.equal(outcomeOf(first).kind, 'deferred')
  await bed.store.queue.lease({ recipientsMax: 10, nowMs: startMs + 300_000 })
  await bed.settle(message, 0, 'delivered', 2)
  await bed.settle(message, 1, 'bounced')
  const after = await show(client, message.text)
  assert.deepEqual(
    after.recipients.map(({ id, state, attempts, nextAttemptAt, waitReasons }) => ({
      id,
      state,
      attempts,
      nextAttemptAt,
      waitReasons,
    })),
    [
      { id: `${message.text}.0`, state: 'delivered', attempts: 2, nextAttemptAt: null, waitReasons: [] },
      { id: `${message.text}.1`, state: 'bounced', attempts: 1, nextAttemptAt: null, waitReasons: [] },
    ],
  )
  const names = ['kind', 'code', 'enhancedCode', 'text', 'remoteHost', 'remoteAddress', 'stage', 'tls']
  for (const name of [...names, 'category', 'scope', 'source', 'at'])
    assert.ok(name in outcomeOf(after.recipients[1]), name)
  assert.deepEqual(
    after.events.map(event => event.type),
    ['accepted', 'deferred', 'delivered', 'bounced'],
  )
  assert.deepEqual(Object.keys(before.recipients[0] ?? {}), Object.keys(after.recipients[0] ?? {}))
  assert.deepEqual(Object.keys(before.head), Object.keys(after.head))
})

test('message list shows what waits and what is lately done, newest first', async () => {
  await using session = await open()
  const { bed, client } = session
  value(await client.call('account.create', { name: 'shop' }))
  const done = await bed.accept({ to: ['a@one.test'], startState: 'leased' })
  await bed.settle(done, 0, 'delivered')
  bed.clock.wallMs += 1000
  const waiting = await bed.accept({ to: ['b@one.test', 'c@one.test'] })
  const list = async (given: Record<string, unknown>): Promise<unknown[]> =>
    value<{ items: Row[] }>(await client.call('message.list', given)).items.map(row => [
      row.id,
      row.openRecipients,
    ])
  assert.deepEqual(await list({}), [
    [waiting.text, 2],
    [done.text, 0],
  ])
  assert.deepEqual(await list({ limit: 1 }), [[waiting.text, 2]])
  assert.deepEqual(await list({ open: true }), [[waiting.text, 2]])
  assert.deepEqual(await list({ account: 'shop' }), [
    [waiting.text, 2],
    [done.text, 0],
  ])
})

test('the pages of message list show every message of the queue once, also where done ones are newer', async () => {
  await using session = await open()
  const { bed, client } = session
  const later = async (startState: 'scheduled' | 'leased'): Promise<StoredMessage> => {
    bed.clock.wallMs += 1000
    return await bed.accept({ to: ['a@one.test'], startState })
  }
  const waiting = [await later('scheduled'), await later('scheduled'), await later('scheduled')]
  const done = await later('leased')
  await bed.settle(done, 0, 'delivered')
  waiting.push(await later('scheduled'))
  const newest = [await later('leased'), await later('leased')]
  for (const message of newest) await bed.settle(message, 0, 'delivered')
  for (const limit of [1, 2, 3, 4, 5, 50]) {
    const shown: Row[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: Row[]; cursor: string | null } = value(
        await client.call('message.list', cursor === '' ? { limit } : { limit, cursor }),
      )
      assert.ok(page.items.length <= limit)
      shown.push(...page.items)
      cursor = page.cursor
    }
    assert.deepEqual(
      shown.filter(row => row.openRecipients === 1).map(row => row.id),
      waiting.map(({ text }) => text).reverse(),
      `${limit} a page`,
    )
    const others = shown.filter(row => row.openRecipients === 0).map(row => row.id)
    assert.deepEqual(new Set(others).size, others.length)
    assert.ok(others.every(id => [done, ...newest].some(({ text }) => text === id)))
  }
})

test('a message that is accepted while message list reads the queue is not shown as done', async () => {
  await using session = await open()
  const { bed } = session
  const ports = bed.ports()
  const { queue } = ports
  const commands = messageCommands({
    ...ports,
    queue: {
      list: (...given) => queue.list(...given),
      count: filter => queue.count(filter),
      message: id => queue.message(id),
      act: (...given) => queue.act(...given),
      messages: async (...given) => {
        const page = await queue.messages(...given)
        await bed.accept({ to: ['a@one.test'] })
        return page
      },
    },
  })
  const listed = await commands['message.list']!(new Arguments({}), {
    item: async () => {},
    signal: new AbortController().signal,
  })
  assert.deepEqual(value<{ items: Row[] }>(listed).items, [])
})

test('events come in order, after a number, up to a limit, and as they happen', async () => {
  await using session = await open()
  const { bed, client } = session
  for (let i = 0; i < 450; i++) await bed.accept({ to: ['a@one.test'] })
  const seqs = async (given: Record<string, unknown>): Promise<number[]> => {
    const seen: number[] = []
    value(await client.call('event.list', given, item => void seen.push(Number((item as Row).seq))))
    return seen
  }
  const all = await seqs({})
  assert.equal(all.length, 450)
  assert.deepEqual(
    all,
    [...all].sort((a, b) => a - b),
  )
  assert.deepEqual(await seqs({ after: all[440] ?? 0 }), all.slice(441))
  assert.deepEqual(await seqs({ limit: 3 }), all.slice(0, 3))
  const follower = await connectControl(bed.serverPath)
  assert.ok(follower.ok)
  const seen = Promise.withResolvers<Row>()
  const last = all.at(-1) ?? 0
  const following = follower.client.call('event.list', { after: last, follow: true }, item =>
    seen.resolve(item as Row),
  )
  const fresh = await bed.accept({ to: ['late@one.test'] })
  assert.equal((await seen.promise).messageId, fresh.text)
  follower.client[Symbol.dispose]()
  assert.equal(code(await following), 'server-gone')
})

test('the server tells its facts and ends when asked', async () => {
  await using session = await open()
  const { bed, client } = session
  const status = value(await client.call('server.status'))
  assert.deepEqual(status.listeners, [{ kind: 'submission', host: '127.0.0.1', port: 2587 }])
  assert.equal(status.version, '0.0.1')
  value(await client.call('server.stop'))
  assert.ok(bed.isShutDown)
})
