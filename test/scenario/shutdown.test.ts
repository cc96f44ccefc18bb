// Situation: Postrider is told to stop while sessions and deliveries are under way, and is watched while it runs.

import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectControl, findSocket } from '../../src/api/control/index.ts'
import { Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { House, message, type ShownEvent, typesOf, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const get = (server: Postrider, path: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.httpPort}${path}`)

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'postrider-stop-'))

test('health, readiness and metrics are told over HTTP, and nothing else', async () => {
  await using receiver = await Receiver.start()
  await using house = await House.open(receiver.route)
  await using client = await house.client()
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  assert.equal((await client.send('x@foreign.example', 'bob@there.example', message())).code, 550)
  await waitForAll(house.server, [id], 'delivered')
  for (const path of ['/healthz', '/readyz']) {
    const answer = await get(house.server, path)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type')!, /json/)
  }
  const answer = await get(house.server, '/metrics')
  const text = await answer.text()
  assert.match(answer.headers.get('content-type')!, /^text\/plain; version=/)
  assert.match(text, /^postrider_\w*accepted\w*\{[^}]*\} 1$/m)
  assert.match(text, /^postrider_\w+\{[^}]*delivered[^}]*\} 1$/m)
  assert.match(text, /^postrider_\w*rejected\w*\{[^}]*sender-not-owned[^}]*\} 1$/m)
  for (const line of text.split('\n'))
    assert.match(line, /^(?:|# (?:HELP|TYPE) .*|[a-z_]+(?:\{[^}]*\})? [-+0-9.eInfNa]+)$/)
  assert.equal((await get(house.server, '/nothing')).status, 404)
  assert.equal(
    (await fetch(`http://127.0.0.1:${house.server.httpPort}/healthz`, { method: 'POST' })).status,
    405,
  )
})

test('after SIGTERM a session in DATA finishes, an idle one is sent away, a new one is not let in, and the exit code is 0', async () => {
  await using receiver = await Receiver.start()
  const folder = newFolder()
  const house = await House.open(receiver.route, { folder })
  await using busy = await house.client()
  await using idle = await house.client()
  await busy.command('MAIL FROM:<ann@acme.example>')
  await busy.command('RCPT TO:<bob@there.example>')
  await busy.command('DATA')
  busy.write(`${message()}\r\nthe first half\r\n`)
  house.server.signal('SIGTERM')
  assert.equal((await idle.reply()).code, 421)
  await idle.ended()
  await doorIsClosed(house.ports.submission)
  const ready = await get(house.server, '/readyz')
  assert.equal(ready.status, 503)
  busy.write('the second half\r\n.\r\n')
  const id = queuedId(await busy.reply())
  assert.equal((await busy.reply()).code, 421)
  assert.equal(await house.server.ended(), 0)
  await using again = await Postrider.start({ toml: receiver.route, folder })
  const events = await waitForAll(again, [id], 'delivered')
  assert.ok(typesOf(events, id).filter(type => type === 'delivered').length === 1)
  assert.equal(receiver.messages.filter(one => one.content.includes(id)).length, 1)
  assert.match(receiver.messages[0]!.content.toString(), /the first half\r\nthe second half/)
})

/** Each thread closes its door for itself: one may let somebody in a moment longer, and sends him away at once. */
async function doorIsClosed(port: number): Promise<void> {
  for (let round = 0; round < 200; round++) {
    const client = await SmtpClient.open(port).catch(() => null)
    if (client === null) return
    await client.ended()
    await client[Symbol.asyncDispose]()
  }
  assert.fail('the door stays open')
}

test('a client that never ends its content does not hold the shutdown for longer than the drain limit', async () => {
  await using receiver = await Receiver.start()
  await using house = await House.open(`${receiver.route}[limits]\ndrain = "1s"\n`)
  await using client = await house.client()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<bob@there.example>')
  await client.command('DATA')
  client.write('From: ann@acme.example\r\n')
  assert.equal(await house.server.stop(), 0)
  await client.ended()
})

test('a client that takes its time for the content costs no attempt its time: nothing is cut off, nothing goes twice', async () => {
  const folder = newFolder()
  let ends = 0
  await using receiver = await Receiver.start({
    endOfData: async () => {
      ends++
      await sleep(1000)
      return '250 2.0.0 taken'
    },
  })
  // The attempts that are in the one connection end well within the drain.
  const toml = `relay_threads = 1\n${receiver.route}[delivery]\nconnections_per_site = 1\n[limits]\ndrain = "5s"\n`
  const house = await House.open(toml, { folder })
  const { server } = house
  await using slow = await house.client()
  await slow.command('MAIL FROM:<ann@acme.example>')
  await slow.command('RCPT TO:<bob@there.example>')
  await slow.command('DATA')
  slow.write('From: ann@acme.example\r\n')
  await using client = await house.client()
  const ids: string[] = []
  for (let at = 0; at < 20; at++)
    ids.push(queuedId(await client.send('ann@acme.example', `to${at}@there.example`, message())))
  await receiver.waitFor(() => ends > 0)
  const connected = await connectControl(findSocket(server.dataDir))
  assert.ok(connected.ok)
  using control = connected.client
  server.signal('SIGTERM')
  // What was ready goes back at once, while client and attempts are waited for.
  for (let scheduled = 0; scheduled < 8; await sleep(50)) {
    const count = await control.call('queue.count')
    assert.ok(count.ok, 'the server ended before')
    scheduled = (count.value as { scheduled: number }).scheduled
  }
  assert.equal(await server.ended(), 0)
  await slow.ended()
  const endsBefore = ends
  assert.ok(endsBefore < 12, `${endsBefore} attempts were begun`)
  assert.equal(receiver.messages.length, endsBefore, 'each attempt came to its end')
  const quick = toml.replace('connections_per_site = 1', 'connections_per_site = 10')
  await using again = await Postrider.start({ toml: quick, folder })
  const events = await waitForAll(again, ids, 'delivered')
  assert.equal(events.filter(({ outcome }) => outcome?.isUncertain === true).length, 0)
  assert.equal(events.filter(({ type }) => type === 'deferred').length, 0)
  assert.equal(receiver.messages.length, ids.length)
})

test('a delivery whose last reply has not come when the drain ends is tried again after the restart, and says so', async () => {
  const folder = newFolder()
  let isDeaf = true
  let ends = 0
  await using receiver = await Receiver.start({
    endOfData: () => {
      ends++
      return isDeaf ? new Promise<string>(() => undefined) : '250 2.0.0 taken'
    },
  })
  const toml = `${receiver.route}[limits]\ndrain = "1s"\n[retry]\nschedule = ["1s"]\n`
  const house = await House.open(toml, { folder })
  await using client = await house.client()
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  while (ends === 0) await sleep(20)
  assert.equal(await house.server.stop(), 0)
  isDeaf = false
  await using again = await Postrider.start({ toml, folder })
  const events = await waitForAll(again, [id], 'delivered')
  const outcomes = events.filter(event => event.messageId === id && event.outcome !== undefined)
  assert.ok(
    outcomes.some(event => event.outcome!.isUncertain === true),
    JSON.stringify(outcomes),
  )
})

test('what is in hand when it stops is scheduled again, every recipient of it', async () => {
  const folder = newFolder()
  let isTaking = false
  await using receiver = await Receiver.start({
    rcpt: () => (isTaking ? '250 2.1.5 ok' : '450 4.2.0 busy'),
  })
  const toml = `${receiver.route}[retry]\nschedule = ["1s"]\n`
  const house = await House.open(toml, { folder, relay: 'networks = ["127.0.5.0/24"]\naccount = "acme"' })
  await using client = await SmtpClient.connect(house.ports.relay, { localAddress: '127.0.5.1' })
  await client.hello()
  const ids: string[] = []
  for (let at = 0; at < 50; at++)
    ids.push(
      queuedId(
        await client.send('ann@acme.example', [`a${at}@there.example`, `b${at}@there.example`], message()),
      ),
    )
  assert.equal(await house.server.stop(), 0)
  isTaking = true
  await using again = await Postrider.start({ toml, folder })
  const events: ShownEvent[] = await waitForAll(again, ids, 'delivered', 60_000)
  await receiver.waitFor(() => receiver.messages.reduce((sum, one) => sum + one.to.length, 0) >= 100)
  const to = receiver.messages.flatMap(one => one.to)
  assert.equal(to.length, 100)
  assert.equal(new Set(to).size, 100)
  assert.ok(events.every((event, at) => at === 0 || event.seq > events[at - 1]!.seq))
})

test('a second SIGTERM ends it at once', async () => {
  await using receiver = await Receiver.start()
  await using house = await House.open(receiver.route)
  await using client = await house.client()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<bob@there.example>')
  await client.command('DATA')
  house.server.signal('SIGTERM')
  while (!house.server.output.includes('server.draining')) await sleep(20)
  house.server.signal('SIGTERM')
  assert.equal(await house.server.ended(), 'SIGTERM')
})
