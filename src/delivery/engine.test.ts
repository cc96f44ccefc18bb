import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultDeliveryOptions } from './options.ts'
import { Harness, planOf } from './testing/harness.ts'
import { startReceiver } from './testing/receiver.ts'

test('a message is delivered, its outcome tells the reply, and its mark is cleared after the commit', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const [{ settlement, facts }] = harness.settled as [Harness['settled'][0]]
  assert.equal(facts.outcome.kind, 'delivered')
  assert.equal(facts.outcome.code, 250)
  assert.equal(facts.outcome.enhancedCode, '2.0.0')
  assert.equal(facts.outcome.text, 'taken')
  assert.equal(facts.outcome.remoteHost, 'mx.b.test')
  assert.equal(facts.outcome.remoteAddress, `127.0.0.1:${mx.port}`)
  assert.equal(facts.attempt, 1)
  assert.equal(settlement.attempts, 1)
  assert.equal(mx.messages[0]?.content, 'Received: from here\r\nSubject: hello\r\n\r\nbody\r\n')
  assert.equal(harness.marksWritten, 1)
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(harness.openMarks.size, 0)
  assert.equal(harness.room.recipients, 0)
  assert.equal(harness.room.contentBytes, 0)
  await harness.close()
})

test('messages that wait for the same domain share one question to DNS', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, {}, { planner: lateplanner(mx) })
  for (let i = 0; i < 5; i++) harness.send(['to@b.test'])
  await harness.settledCount(5)
  assert.equal(calls, 1)
  await harness.close()
})

let calls = 0
function lateplanner(mx: { port: number }) {
  let plan: ReturnType<typeof planOf> | undefined
  return {
    cached: () => plan,
    plan: async (domain: string) => {
      calls++
      await new Promise(resolve => setImmediate(resolve))
      plan = planOf(domain, ['mx.b.test', '127.0.0.1'])
      return plan
    },
    cachedSmarthost: () => undefined,
    planSmarthost: () => Promise.reject(new Error(`not asked for ${mx.port}`)),
  }
}

test('of thousands of new domains a few hundred are asked for at once, and none is refused for it', async () => {
  await using mx = await startReceiver()
  let asking = 0
  let most = 0
  const plan = async (domain: string) => {
    most = Math.max(most, ++asking)
    await new Promise(resolve => setImmediate(resolve))
    asking--
    return planOf(domain, ['mx.test', '127.0.0.1'])
  }
  const unknown = () => undefined
  const planner = { plan, planSmarthost: plan, cached: unknown, cachedSmarthost: unknown }
  const harness = new Harness(mx.port, {}, { planner })
  for (let index = 0; index < 2_000; index++) harness.send([`to@c${index}.test`])
  await harness.settledCount(2_000)
  assert.equal(harness.settled.filter(one => one.facts.outcome.kind === 'delivered').length, 2_000)
  assert.ok(most <= 200, `${most} at once`)
  await harness.close()
})

test('connections are kept: a hundred messages one after another use one', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 1; i <= 100; i++) {
    harness.send([`to${i}@b.test`])
    await harness.settledCount(i)
  }
  assert.equal(mx.connections, 1)
  assert.equal(mx.messages.length, 100)
  await harness.close()
})

test('three messages do not open three connections, and a backlog opens no more than allowed', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { connectionsPerSite: 4 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 3; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(3)
  assert.equal(mx.connections, 1)
  for (let i = 0; i < 400; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(403)
  assert.ok(mx.connections > 1 && mx.connections <= 4, String(mx.connections))
  assert.equal(mx.messages.length, 403)
  await harness.close()
})

test('a connection is replaced after its share of messages', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { messagesPerConnection: 10, connectionsPerSite: 1 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 35; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(35)
  assert.equal(mx.connections, 4)
  await harness.close()
})

test('idle connections are closed after the idle time', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { idleConnectionMs: 5_000 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  harness.advance(4_000)
  assert.equal(harness.engine.gauges().connections, 1)
  harness.advance(2_000)
  assert.equal(harness.engine.gauges().connections, 0)
  await harness.close()
})

test('two domains on the same address share a connection', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.plans.set('c.test', planOf('c.test', ['mx.c.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  harness.send(['to@c.test'])
  await harness.settledCount(2)
  assert.equal(mx.connections, 1)
  await harness.close()
})

test('an idle connection of a full site gives way to another next hop of that site', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  const site = { site: 'microsoft-365', provider: 'microsoft-365' }
  harness.plans.set('b.test', { ...planOf('b.test', ['b.mail.test', '127.0.0.1']), ...site })
  harness.plans.set('c.test', { ...planOf('c.test', ['c.mail.test', '127.0.0.1']), ...site })
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  harness.send(['to@c.test'])
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['to@b.test delivered', 'to@c.test delivered'])
  await harness.close()
})

test('next hops of a full site at one address pass their connection on instead of opening their own', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  const site = { site: 'microsoft-365', provider: 'microsoft-365' }
  const domains = Array.from({ length: 20 }, (_, index) => `c${index}.test`)
  for (const domain of domains)
    harness.plans.set(domain, { ...planOf(domain, [`mx.${domain}`, '127.0.0.1']), ...site })
  for (const domain of domains) harness.send([`one@${domain}`])
  for (const domain of domains) harness.send([`two@${domain}`])
  await harness.settledCount(40)
  assert.equal(harness.settled.filter(one => one.facts.outcome.kind === 'delivered').length, 40)
  assert.equal(mx.connections, 1)
  await harness.close()
})

test('those of a site at another address are served, too, when a passed-on connection has carried its share', async () => {
  await using mx = await startReceiver({ address: '127.0.0.2' })
  const harness = new Harness(mx.port, { connectionsPerSite: 1, messagesPerConnection: 10 })
  await using other = await startReceiver({ address: '127.0.0.3', port: mx.port })
  const site = { site: 'microsoft-365', provider: 'microsoft-365' }
  const addressOf = (index: number): string => (index === 5 ? '127.0.0.3' : '127.0.0.2')
  for (let index = 0; index < 30; index++) {
    const domain = `c${index}.test`
    harness.plans.set(domain, { ...planOf(domain, [`mx.${domain}`, addressOf(index)]), ...site })
    harness.send([`to@${domain}`])
  }
  await harness.settledCount(30)
  assert.equal(other.messages.length, 1)
  const place = harness.settled.findIndex(one => one.facts.forwardPath === 'to@c5.test')
  assert.ok(place <= 10, `it was served as number ${place}`)
  await harness.close()
})

test('recipients of one message on the same hosts share a transaction', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.plans.set('d.test', planOf('d.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['one@b.test', 'two@b.test', 'three@d.test'])
  await harness.settledCount(3)
  assert.equal(mx.messages.length, 1)
  assert.deepEqual(mx.messages[0]?.recipients, ['one@b.test', 'two@b.test', 'three@d.test'])
  assert.equal(harness.marksWritten, 1)
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(harness.openMarks.size, 0)
  await harness.close()
})

test('where the provider takes one domain in a transaction, each domain of a message has one of its own', async () => {
  let first = ''
  await using mx = await startReceiver({
    onRcpt: (path, count) => {
      const domain = path.slice(path.indexOf('@') + 1)
      if (count === 1) first = domain
      return domain === first
        ? '250 2.1.5 ok'
        : '451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.'
    },
  })
  const harness = new Harness(mx.port)
  const site = { site: 'google', provider: 'google' }
  for (const domain of ['b.test', 'd.test'])
    harness.plans.set(domain, { ...planOf(domain, ['mx.b.test', '127.0.0.1']), ...site })
  harness.send(['one@b.test', 'three@d.test', 'two@b.test'])
  await harness.settledCount(3)
  assert.ok(harness.settled.every(({ facts }) => facts.outcome.kind === 'delivered' && facts.attempt === 1))
  assert.deepEqual(mx.messages.map(one => one.recipients.join(' ')).sort(), [
    'one@b.test two@b.test',
    'three@d.test',
  ])
  assert.equal(mx.commands.filter(line => line.startsWith('RCPT')).length, 3, 'none was refused')
  await harness.close()
})

test('a domain without a plan gets the outcome of the resolve stage', async () => {
  const harness = new Harness(1)
  harness.send(['to@nowhere.test'])
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual(
    [outcome.kind, outcome.code, outcome.enhancedCode, outcome.stage, outcome.category, outcome.source],
    ['bounced', 550, '5.1.2', 'resolve', 'unknown-domain', 'local'],
  )
  await harness.close()
})

test('our own address as host ends with 5.4.6', async () => {
  const harness = new Harness(1)
  harness.plans.set('b.test', {
    kind: 'failure',
    reason: 'loop',
    isPermanent: true,
    code: 554,
    enhancedCode: '5.4.6',
    text: 'the mail would come straight back',
    stage: 'resolve',
    scope: 'domain',
    domain: 'b.test',
    ttlMs: 1_000,
  })
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  const { outcome } = harness.settled[0]!.facts
  assert.deepEqual([outcome.kind, outcome.enhancedCode, outcome.category], ['bounced', '5.4.6', 'loop'])
  await harness.close()
})

test('a smarthost of the recipient goes before the MX', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(1)
  const key = `127.0.0.1:${mx.port}`
  harness.plans.set(key, planOf(key, ['127.0.0.1', '127.0.0.1']))
  harness.send([{ forwardPath: 'to@b.test', route: key }])
  await harness.settledCount(1)
  assert.deepEqual(harness.kinds(), ['to@b.test delivered'])
  await harness.close()
})

test('a recipient that was rerouted to what is no smarthost waits for the operator, and goes no other way', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  const route = '[fe80::1%eth0]:25'
  harness.send([{ forwardPath: 'alone@b.test', route }])
  harness.send(['plain@b.test', { forwardPath: 'one@b.test', route }, { forwardPath: 'two@b.test', route }])
  await harness.settledCount(4)
  assert.deepEqual(harness.kinds(), [
    'alone@b.test deferred',
    'one@b.test deferred',
    'plain@b.test delivered',
    'two@b.test deferred',
  ])
  const { outcome } = harness.settled.find(({ facts }) => facts.forwardPath === 'one@b.test')!.facts
  assert.deepEqual([outcome.scope, outcome.stage, outcome.code], ['configuration', 'route', 451])
  assert.match(outcome.text, /rerouted to "\[fe80::1%eth0\]:25"/)
  await harness.close()
})

test('a stored content is read, and a large one streamed', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port, { wholeContentBytesMax: 1_000 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  const large = `Subject: large\r\n\r\n${'0123456789'.repeat(50).concat('\r\n').repeat(1_000)}`
  harness.send(['small@b.test'], { isStored: true })
  harness.send(['large@b.test'], { isStored: true, text: large })
  await harness.settledCount(2)
  assert.deepEqual(harness.kinds(), ['large@b.test delivered', 'small@b.test delivered'])
  assert.ok(mx.messages.some(({ content }) => content === `Received: from here\r\n${large}`))
  await harness.close()
})

test('stored contents are read whole only while they fit, and streamed beyond that', async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<string>()
  await using mx = await startReceiver({ onEnd: () => held })
  const text = `Subject: x\r\n\r\n${'0123456789\r\n'.repeat(3_000)}`
  const seen = { whole: 0, streams: 0 }
  const content = {
    readPrefix: () => Buffer.alloc(0),
    readContent: async () => {
      seen.whole++
      return Buffer.from(text)
    },
    openContent: async function* () {
      seen.streams++
      yield Buffer.from(text)
    },
  }
  const limits = { readContentBytesMax: 80_000, transactionsPerConnection: 1, backlogPerConnection: 1 }
  const harness = new Harness(mx.port, limits, { content })
  for (let domain = 0; domain < 5; domain++) {
    harness.plans.set(`d${domain}.test`, planOf(`d${domain}.test`, [`mx${domain}.test`, '127.0.0.1']))
    harness.send([`to@d${domain}.test`], { isStored: true, text })
  }
  while (harness.marksWritten < 5) await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(seen, { whole: 2, streams: 3 })
  release('250 ok')
  await harness.settledCount(5)
  assert.ok(mx.messages.every(one => one.content.endsWith(text)))
  harness.send(['to@d0.test'], { isStored: true, text })
  await harness.settledCount(6)
  assert.deepEqual(seen, { whole: 3, streams: 3 })
  await harness.close()
})

test('options as reloaded count for what is sent from then on, in all parts', async () => {
  await using mx = await startReceiver({
    onRcpt: path => (path.includes('later') ? '450 4.2.1 later' : '250 ok'),
  })
  const harness = new Harness(mx.port, { messagesPerConnection: 1, connectionsPerSite: 1 })
  const given = {
    ...defaultDeliveryOptions,
    source: { name: 'other', ehloName: 'other.test', ipv4: '', ipv6: '' },
    mxPort: 1,
    retry: { intervalsMs: [5_000] },
    recipientsPerTransaction: 2,
  }
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  for (let i = 0; i < 3; i++) harness.send([`to${i}@b.test`])
  await harness.settledCount(3)
  assert.equal(mx.connections, 3, 'one message a connection')
  harness.engine.setOptions(given)
  for (let i = 0; i < 3; i++) {
    harness.send([`to${i}@b.test`])
    await harness.settledCount(4 + i)
  }
  assert.equal(mx.connections, 4, 'many messages a connection, to the same port')
  assert.ok(mx.commands.includes('EHLO other.test'))
  harness.send(['a@b.test', 'b@b.test', 'later@b.test'])
  await harness.settledCount(9)
  assert.equal(mx.messages.at(-1)?.recipients.length, 2)
  const deferred = harness.settled.find(({ facts }) => facts.outcome.kind === 'deferred')
  assert.equal(deferred?.settlement.nextAttemptAtMs, harness.nowMs + 5_000)
  assert.equal(given.mxPort, 1, 'the caller’s object is not ours')
  await harness.close()
})

test('after new options the planner is asked again', async () => {
  await using mx = await startReceiver()
  const harness = new Harness(mx.port)
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['to@b.test'])
  await harness.settledCount(1)
  harness.plans.delete('b.test')
  harness.send(['to@b.test'])
  await harness.settledCount(2)
  harness.engine.setOptions({
    ...defaultDeliveryOptions,
    source: { name: 'main', ehloName: 'relay.test', ipv4: '', ipv6: '' },
    mxPort: mx.port,
    retry: { intervalsMs: [60_000] },
  })
  harness.send(['to@b.test'])
  await harness.settledCount(3)
  assert.deepEqual(harness.kinds(), ['to@b.test bounced', 'to@b.test delivered', 'to@b.test delivered'])
  await harness.close()
})

test('what waits for a connection past its expiry is not sent any more', async () => {
  let release = (): void => {}
  const held = new Promise<void>(resolve => (release = resolve))
  await using mx = await startReceiver({
    onEnd: async () => {
      await held
      return '250 ok'
    },
  })
  const harness = new Harness(mx.port, { connectionsPerSite: 1, transactionsPerConnection: 1 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['first@b.test'])
  for (let i = 0; i < 150; i++)
    harness.send([`late${i}@b.test`], {
      expiresAtMs: harness.nowMs + 600_000,
      text: 'Subject: code\r\n\r\n1\r\n',
    })
  harness.send(['patient@b.test'], { expiresAtMs: harness.nowMs + 900_000 })
  harness.advance(600_000 + 60_000 + 1)
  release()
  await harness.settledCount(152)
  const kinds = harness.kinds()
  assert.deepEqual(
    kinds.filter(kind => !kind.startsWith('late')),
    ['first@b.test delivered', 'patient@b.test delivered'],
  )
  assert.equal(kinds.filter(kind => kind.endsWith('expired')).length, 150)
  assert.equal(mx.messages.length, 2)
  await harness.close()
})

test('what waits in a connection past its expiry, behind another one that takes long, is not sent any more', async () => {
  const { promise: isHeld, resolve: hold } = Promise.withResolvers<void>()
  const { promise: reply, resolve: release } = Promise.withResolvers<string>()
  await using mx = await startReceiver({
    keywords: [],
    onEnd: () => {
      hold()
      return reply
    },
  })
  const harness = new Harness(mx.port, { connectionsPerSite: 1 })
  harness.plans.set('b.test', planOf('b.test', ['mx.b.test', '127.0.0.1']))
  harness.send(['first@b.test'])
  for (let i = 0; i < 6; i++) harness.send([`late${i}@b.test`], { expiresAtMs: harness.nowMs + 600_000 })
  harness.send(['patient@b.test'], { expiresAtMs: harness.nowMs + 900_000 })
  // Some of them are in the connection by then.
  await isHeld
  harness.advance(600_000 + 60_000 + 1)
  release('250 ok')
  await harness.settledCount(8)
  const late = Array.from({ length: 6 }, (_, i) => `late${i}@b.test expired`)
  assert.deepEqual(harness.kinds().sort(), ['first@b.test delivered', ...late, 'patient@b.test delivered'])
  assert.equal(mx.messages.length, 2)
  await harness.close()
})

test('room that is kept for messages under way is nobody else’s', async () => {
  const harness = new Harness(1, { readyRecipientsMax: 3, readyContentBytesMax: 100 })
  const { engine } = harness
  assert.ok(engine.reserve(1, 2, 60))
  assert.ok(!engine.reserve(2, 2, 10) && !engine.reserve(2, 1, 60))
  assert.equal(engine.roomRecipients(), 1, 'leases count it too')
  engine.letGo(1, 2, 60)
  assert.ok(engine.reserve(2, 2, 80))
  engine.letGo(2, 2, 80)
  assert.deepEqual([harness.room.recipients, harness.room.contentBytes], [0, 0])
  await harness.close()
})
