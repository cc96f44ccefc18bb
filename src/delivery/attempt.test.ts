import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

const plan = planOf('b.test', ['mx.b.test', '127.0.0.1'])

test('each recipient gets the reply to its own RCPT', async () => {
  await using mx = await startReceiver({
    onRcpt: path =>
      path.startsWith('no')
        ? '550 5.1.1 no such user'
        : path.startsWith('full')
          ? '452 4.2.2 mailbox full'
          : '250 2.1.5 ok',
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['yes@b.test', 'no@b.test', 'full@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['full@b.test deferred', 'no@b.test bounced', 'yes@b.test delivered'])
  const bounced = harness.settled.find(({ facts }) => facts.outcome.kind === 'bounced')!.facts
  assert.equal(bounced.outcome.category, 'unknown-recipient')
  assert.equal(bounced.outcome.scope, 'recipient')
  assert.equal(bounced.outcome.stage, 'rcpt')
  assert.deepEqual(bounced.conversation.slice(1), [
    '> MAIL FROM:<sender@example.test>',
    '> RCPT TO:<no@b.test>',
    '< 550 5.1.1 no such user',
  ])
  const deferred = harness.settled.find(({ facts }) => facts.outcome.kind === 'deferred')!
  assert.equal(deferred.settlement.nextAttemptAtMs, harness.nowMs + 60_000)
  assert.ok(deferred.settlement.lastOutcome.length > 0)
  await harness.close()
})

test('5xx to MAIL bounces all, 4xx to MAIL defers all, 5xx and 4xx to the content too', async () => {
  const cases = [
    { options: { onMail: () => '550 5.7.1 not you' }, kind: 'bounced', stage: 'mail' },
    { options: { onMail: () => '451 4.3.0 not now' }, kind: 'deferred', stage: 'mail' },
    { options: { onData: () => '554 5.5.0 no' }, kind: 'bounced', stage: 'data' },
    { options: { onEnd: () => '554 5.7.1 looks like spam' }, kind: 'bounced', stage: 'data' },
    { options: { onEnd: () => '451 4.7.1 Greylisted' }, kind: 'deferred', stage: 'data' },
    { options: { onEnd: () => '421 4.3.2 shutting down' }, kind: 'deferred', stage: 'data' },
  ] as const
  for (const { options, kind, stage } of cases) {
    await using mx = await startReceiver(options)
    const harness = new Harness(mx.port)
    harness.plans.set('b.test', plan)
    harness.send(['one@b.test', 'two@b.test'])
    await harness.settledCount(2)
    for (const { facts } of harness.settled) {
      assert.equal(facts.outcome.kind, kind)
      assert.equal(facts.outcome.stage, stage)
      assert.equal(facts.outcome.isUncertain, false)
    }
    await harness.close()
  }
})

test('a smarthost that will not relay for us, or wants a login, defers; an MX host that says so bounces', async () => {
  for (const [category, reply] of [
    ['relay-denied', '554 5.7.1 <to@b.test>: Relay access denied'],
    ['relay-denied', '550 5.7.1 Invalid credentials for relay [192.0.2.1]'],
    ['credentials', '550 SMTP authentication is required'],
  ] as const) {
    await using host = await startReceiver({ onRcpt: () => reply })
    const smarthost = `127.0.0.1:${host.port}`
    for (const { kind, route } of [
      { kind: 'deferred', route: smarthost },
      { kind: 'bounced', route: '' },
    ] as const) {
      const harness = new Harness(host.port)
      harness.plans.set('b.test', plan)
      harness.plans.set(smarthost, planOf(smarthost, ['127.0.0.1', '127.0.0.1']))
      harness.send([{ forwardPath: 'to@b.test', route }])
      await harness.settledCount(1)
      const { outcome } = harness.settled[0]!.facts
      assert.deepEqual([outcome.kind, outcome.category], [kind, category], reply)
      if (kind === 'deferred') assert.equal(outcome.scope, 'configuration')
      await harness.close()
    }
  }
})

test('"too many recipients" splits the transaction and burns no attempt', async () => {
  await using mx = await startReceiver({
    onRcpt: (_, count) => (count > 3 ? '452 4.5.3 too many recipients' : '250 2.1.5 ok'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(Array.from({ length: 10 }, (_, index) => `to${index}@b.test`))
  await harness.settledCount(10)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
  assert.deepEqual(
    mx.messages.map(one => one.recipients.length),
    [3, 3, 3, 1],
  )
  // The limit is learnt: only the first transaction ran into it.
  assert.equal(mx.commands.filter(line => line.startsWith('RCPT')).length, 10 + 7)
  await harness.close()
})

test('552 to the n-th RCPT means the same, but 452 to the first recipient is a deferral', async () => {
  await using mx = await startReceiver({
    onRcpt: (path, count) =>
      path.startsWith('first')
        ? '452 4.5.3 too many recipients'
        : count > 1
          ? '552 too many recipients'
          : '250 ok',
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['a@b.test', 'b@b.test'])
  await harness.settledCount(2)
  harness.send(['first@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['a@b.test delivered', 'b@b.test delivered', 'first@b.test deferred'])
  await harness.close()
})

test('552 "too many recipients" never bounces: with nobody accepted before it, and when the connection is lost behind it', async () => {
  await using mx = await startReceiver({
    onRcpt: (path, count) =>
      path.startsWith('no')
        ? '550 5.1.1 no such user'
        : path.startsWith('late')
          ? '552 5.5.3 enough'
          : count > 1
            ? '552 too many recipients'
            : '250 ok',
    onData: () => 'drop',
  })
  const harness = new Harness(mx.port, { rerunsMax: 0 })
  harness.plans.set('b.test', plan)
  harness.send(['no@b.test', 'late@b.test'])
  await harness.settledCount(2)
  harness.send(['a@b.test', 'b@b.test'])
  await harness.settledCount(4)
  assert.deepEqual(harness.kinds(), [
    'a@b.test deferred',
    'b@b.test deferred',
    'late@b.test deferred',
    'no@b.test bounced',
  ])
  for (const { facts } of harness.settled)
    if (facts.outcome.code === 552) assert.equal(facts.outcome.category, 'too-many-recipients')
  await harness.close()
})

test('who was one too many goes again with the others when the peer then says 421 to DATA', async () => {
  let datas = 0
  await using mx = await startReceiver({
    onRcpt: (_, count) => (count > 1 ? '552 too many recipients' : '250 ok'),
    onData: () => (++datas === 2 ? '421 4.3.2 come again' : '354 go'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['first@b.test'])
  await harness.settledCount(1)
  harness.send(['a@b.test', 'b@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['a@b.test delivered', 'b@b.test delivered', 'first@b.test delivered'])
  assert.ok(harness.settled.every(({ facts }) => facts.attempt === 1))
  await harness.close()
})

test('after 421 to the end of the content who was one too many waits like those that were taken', async () => {
  await using mx = await startReceiver({
    onRcpt: (_, count) => (count > 1 ? '452 4.5.3 too many recipients' : '250 ok'),
    onEnd: () => '421 4.7.0 slow down',
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['a@b.test', 'b@b.test', 'c@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['a@b.test deferred', 'b@b.test deferred', 'c@b.test deferred'])
  assert.equal(mx.connections, 1)
  await harness.close()
})

test('a peer that takes one domain in a transaction gets each in its own, and no attempt is burnt', async () => {
  const replies = [
    '451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.',
    '451 4.4.5 Address domain different from previous accepted address. All recipients must be on the same domain',
  ]
  for (const reply of replies) {
    let first = ''
    await using mx = await startReceiver({
      onRcpt: (path, count) => {
        const domain = path.slice(path.indexOf('@') + 1)
        if (count === 1) first = domain
        return domain === first ? '250 2.1.5 ok' : reply
      },
    })
    const harness = new Harness(mx.port, { connectionsPerSite: 1 })
    const domains = ['b.test', 'c.test', 'd.test', 'e.test']
    for (const domain of domains) harness.plans.set(domain, planOf(domain, ['mx.b.test', '127.0.0.1']))
    harness.send(domains.flatMap(domain => [`one@${domain}`, `two@${domain}`]))
    await harness.settledCount(8)
    assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
    assert.deepEqual(
      mx.messages.map(one => one.recipients.length),
      [2, 2, 2, 2],
    )
    // All in the first transaction, and those that were refused once more.
    assert.equal(mx.commands.filter(line => line.startsWith('RCPT')).length, 8 + 6)
    // Nothing was learnt that holds for one domain, too.
    harness.send(['one@b.test', 'two@b.test', 'three@b.test'])
    await harness.settledCount(11)
    assert.equal(mx.messages.at(-1)?.recipients.length, 3)
    await harness.close()
  }
})

test('no transaction has more recipients than the peer announces or we allow', async () => {
  for (const { keywords, most } of [
    { keywords: ['PIPELINING', 'LIMITS RCPTMAX=4'], most: 4 },
    { keywords: ['PIPELINING'], most: 6 },
  ]) {
    await using mx = await startReceiver({ keywords })
    const harness = new Harness(mx.port, { recipientsPerTransaction: 6 })
    harness.plans.set('b.test', plan)
    harness.send(Array.from({ length: 13 }, (_, index) => `to${index}@b.test`))
    await harness.settledCount(13)
    assert.ok(mx.messages.every(one => one.recipients.length <= most))
    assert.equal(mx.messages.length, Math.ceil(13 / most))
    await harness.close()
  }
})

test('no connection carries more messages than the peer announces', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'LIMITS MAILMAX=2'] })
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  harness.plans.set('b.test', plan)
  for (let i = 0; i < 6; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(6)
  assert.equal(mx.connections, 3)
  await harness.close()
})

test('so it is when the contents have to be read first', async () => {
  await using mx = await startReceiver({ keywords: ['PIPELINING', 'LIMITS MAILMAX=2'] })
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  harness.plans.set('b.test', plan)
  for (let i = 0; i < 12; i++) harness.send([`to${i}@b.test`], { isStored: true })
  await harness.settledCount(12)
  const carried = Map.groupBy(mx.messages, one => one.connection)
  assert.deepEqual(
    [...carried.values()].map(messages => messages.length),
    [2, 2, 2, 2, 2, 2],
  )
  await harness.close()
})

test('a connection lost before the end of data costs no attempt: the message goes again at once', async () => {
  let drops = 0
  await using mx = await startReceiver({
    onMail: count => (count === 2 && drops++ === 0 ? 'drop' : '250 ok'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test'])
  await harness.settledCount(1)
  harness.send(['two@b.test'])
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['one@b.test delivered', 'two@b.test delivered'])
  assert.equal(harness.settled[1]!.facts.attempt, 1)
  assert.equal(mx.connections, 2)
  await harness.close()
})

test('421 in the middle of a transaction is a word of the host: another connection is tried', async () => {
  let said = 0
  await using mx = await startReceiver({
    onMail: count => (count === 2 && said++ === 0 ? '421 4.3.2 come again' : '250 ok'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['one@b.test'])
  await harness.settledCount(1)
  harness.send(['two@b.test'])
  await harness.settledCount(2)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered'))
  await harness.close()
})

test('a host that always drops the connection at MAIL ends in a deferral, after few connections', async () => {
  await using mx = await startReceiver({ onMail: () => 'drop' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  for (let i = 0; i < 50; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(50)
  assert.ok(
    harness.settled.every(({ facts }) => facts.outcome.kind === 'deferred' && !facts.outcome.isUncertain),
  )
  assert.ok(mx.connections <= 4, String(mx.connections))
  await harness.close()
})

test('a connection lost after the final dot is uncertain, deferred, and not sent again at once', async () => {
  await using mx = await startReceiver({ onEnd: () => 'drop' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.isUncertain, outcome.category, outcome.stage],
    ['deferred', true, 'connection-lost', 'data'],
  )
  assert.equal(harness.marksWritten, 1)
  await harness.close()
})

test('a recipient that was uncertain before a crash stays marked as such', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send([{ forwardPath: 'to@b.test', isUncertain: true, attempts: 1 }])
  await harness.settledCount(1)
  const { outcome, attempt } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.isUncertain, attempt], ['delivered', true, 2])
  await harness.close()
})

test('a mark is cleared at once when somebody of it comes again, and else with the next ones', async () => {
  const replies = ['250 taken', '550 no', '451 4.3.0 later']
  await using mx = await startReceiver({ onEnd: () => replies.shift()! })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  for (const wanted of [0, 0, 1]) {
    const before = harness.settled.length
    harness.send(['to@b.test'])
    await harness.settledCount(before + 1)
    while (harness.openMarks.size > 0) await new Promise(resolve => setImmediate(resolve))
    assert.equal(harness.clearedAtOnce, wanted)
  }
  await harness.close()
})

test('a deferral past the expiry expires the recipient and keeps the words of the last reply', async () => {
  await using mx = await startReceiver({ onRcpt: () => '450 4.2.1 not today' })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['to@b.test'], { expiresAtMs: harness.nowMs - 1 })
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.code, outcome.text], ['expired', 450, 'not today'])
  assert.equal(harness.settled[0]!.settlement.reason, 'next-attempt')
  assert.equal(harness.settled[0]!.settlement.eventType, 'expired')
  assert.equal(harness.settled[0]!.settlement.nextAttemptAtMs, 0)
  await harness.close()
})

test('a message long past its expiry is not sent any more', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  harness.send(['to@b.test'], { expiresAtMs: harness.nowMs - 61_000 })
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test expired'])
  assert.equal(harness.settled[0]!.facts.attempt, 0)
  assert.equal(mx.connections, 0)
  await harness.close()
})

test('a content that is not there defers its message: the disk that it lies on may come back', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  const message = harness.send(['to@b.test'], { isStored: true })
  harness.contents.delete(message.key)
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test deferred'])
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.code, outcome.enhancedCode, outcome.scope], [451, '4.3.0', 'configuration'])
  assert.match(outcome.text, /content .* not in the store.* mounted/)
  await harness.close()
})

test('a refused recipient leaves the connection usable for the next message', async () => {
  await using mx = await startReceiver({
    onRcpt: path => (path.startsWith('no') ? '550 5.1.1 no' : '250 ok'),
  })
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', plan)
  for (const path of ['no@b.test', 'yes@b.test', 'no2@b.test', 'yes2@b.test']) {
    const count = harness.settled.length + 1
    harness.send([path])
    await harness.settledCount(count)
  }
  assert.equal(mx.connections, 1)
  assert.equal(mx.messages.length, 2)
  await harness.close()
})
