// HAProxy in front of the doors, with send-proxy and send-proxy-v2: who the client is, is what HAProxy says. Its address
// stands in the event log, and the bounds for one address count for it and not for the balancer.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { queuedId, SmtpClient } from '../scenario/support/client.ts'
import { House, message, type Ports, type ShownEvent, waitForAll } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import { freePort, isListening, Program, Scratch } from '../support/peers/index.ts'
import { type ConfigPage, changed, filledIn, readPage } from './support/config-page.ts'
import { needs } from './support/needs.ts'

/** HAProxy connects from here; only this address may say who a client is. */
const balancer = '127.0.7.1'
/** Sends to the relay door without login; no bounds for its address. */
const printer = '127.0.7.20'
const connectionsMax = 2

/** Ports of HAProxy's `listen` sections; `submission` speaks version 2 of the header. */
interface Fronts {
  readonly submission: number
  readonly submissions: number
  readonly relay: number
}

interface Stage {
  readonly house: House
  readonly fronts: Fronts
  /** In front of the submissions door, with version 1. */
  readonly old: Fronts
}

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const page = await readPage(join(import.meta.dirname, '../../docs/operating/haproxy.md'))
  const receiver = owned.use(await Receiver.start())
  // Bounds are shared out among threads; with one of them they can be counted.
  const top = 'relay_threads = 1\n'
  const limits = `[limits]\nconnections_per_address = ${connectionsMax}\n`
  const named = (page.files.get('postrider.toml') ?? '').replace('192.0.2.10', balancer)
  const house = owned.use(
    await House.open(`${top}${receiver.route}${limits}`, {
      relay: `${named}networks = ["${printer}"]\naccount = "acme"`,
      submission: named,
    }),
  )
  const fronts = await startHaproxy(owned, page, house.ports)
  const old = await startHaproxy(owned, changed(page, page.changes.get('version-1') ?? []), house.ports)
  return { house, fronts, old }
}

/** HAProxy as its page says, on free ports, connecting from the balancer's address. */
async function startHaproxy(owned: AsyncDisposableStack, page: ConfigPage, to: Ports): Promise<Fronts> {
  const { path: folder } = owned.use(await Scratch.create('haproxy'))
  const fronts = await freePorts()
  const made = filledIn(page, [
    [/0\.0\.0\.0:587/g, `127.0.0.1:${fronts.submission}`],
    [/0\.0\.0\.0:465/g, `127.0.0.1:${fronts.submissions}`],
    [/0\.0\.0\.0:25/g, `127.0.0.1:${fronts.relay}`],
    [/192\.0\.2\.25:587/g, `127.0.0.1:${to.submission} source ${balancer}`],
    [/192\.0\.2\.25:465/g, `127.0.0.1:${to.submissions} source ${balancer}`],
    [/192\.0\.2\.25:25/g, `127.0.0.1:${to.relay} source ${balancer}`],
    // Checks more often, and one that fails takes the server away.
    [/check-send-proxy/g, 'check-send-proxy inter 200ms fall 1'],
  ])
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, made.files.get('haproxy.cfg') ?? '')
  const program = owned.use(
    new Program({ name: 'haproxy', command: '/usr/sbin/haproxy', args: ['-db', '-f', file] }),
  )
  await program.until('a listener', () => isListening('127.0.0.1', fronts.relay))
  return fronts
}

async function freePorts(): Promise<Fronts> {
  return { submission: await freePort(), submissions: await freePort(), relay: await freePort() }
}

/** Sends a message over a connection; gives its `accepted` event. */
async function accepted(house: House, client: SmtpClient): Promise<ShownEvent> {
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  const events = await waitForAll(house.server, [id], 'accepted')
  return events.find(event => event.messageId === id && event.type === 'accepted')!
}

/** A connection in TLS after the greeting; null when it is closed before. */
async function knock(port: number, localAddress: string): Promise<SmtpClient | null> {
  try {
    return await SmtpClient.connect(port, { localAddress, isTls: true })
  } catch {
    return null
  }
}

/**
 * Knocks until it is let in; the end of another connection may take a moment. Ever less often: only twenty refusals in ten
 * seconds have a line in the log, and later ones are looked for there.
 */
async function letIn(port: number, localAddress: string): Promise<SmtpClient> {
  for (let tries = 0; tries < 60; tries++) {
    const client = await knock(port, localAddress)
    if (client !== null) return client
    await sleep(Math.min(25 * 2 ** tries, 1000))
  }
  throw new Error(`${localAddress} is not let in`)
}

/** Says nothing: no byte of TLS. */
async function silent(port: number, localAddress: string): Promise<SilentClient> {
  const socket = net.connect({ host: '127.0.0.1', port, localAddress })
  socket.on('error', () => {})
  await once(socket, 'connect')
  const closed = new Promise<unknown>(resolve => socket.resume().once('close', resolve))
  return { closed, isClosed: () => socket.closed, [Symbol.dispose]: () => void socket.destroy() }
}

interface SilentClient extends Disposable {
  readonly closed: Promise<unknown>
  readonly isClosed: () => boolean
}

async function logged(house: House, line: RegExp): Promise<void> {
  for (let tries = 0; !line.test(house.server.output) && tries < 1200; tries++) await sleep(50)
  assert.match(house.server.output, line)
}

const needed = await needs('haproxy')

test('behind HAProxy the client is whom HAProxy names', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const { house, fronts, old } = await openStage(owned)
  const { login } = house

  await context.test('with STARTTLS the event log has its address', async () => {
    const localAddress = '127.0.8.1'
    await using client = await SmtpClient.connect(fronts.submission, { localAddress })
    await client.login(login.username, login.secret)
    assert.equal((await accepted(house, client)).clientAddress, localAddress)
  })

  const doors: readonly (readonly [version: string, fronts: Fronts])[] = [
    ['version 1', old],
    ['version 2', fronts],
  ]
  for (const [index, [version, { submissions }]] of doors.entries()) {
    await context.test(
      `with TLS from the first byte the event log has its address (${version})`,
      async () => {
        const localAddress = `127.0.8.${2 + index}`
        await using client = await SmtpClient.connect(submissions, { localAddress, isTls: true })
        await client.hello()
        const token = Buffer.from(`\0${login.username}\0${login.secret}`).toString('base64')
        assert.equal((await client.command(`AUTH PLAIN ${token}`)).code, 235)
        assert.equal((await accepted(house, client)).clientAddress, localAddress)
      },
    )

    await context.test(`the bound of connections counts for each client (${version})`, async () => {
      const [one, other] = [`127.0.8.${10 + index}`, `127.0.8.${20 + index}`]
      await using held = new AsyncDisposableStack()
      const first = await letIn(submissions, one)
      for (let count = 1; count < connectionsMax; count++) held.use(await letIn(submissions, one))
      assert.equal(await knock(submissions, one), null)
      const named = one.replaceAll('.', '\\.')
      await logged(
        house,
        new RegExp(`"session\\.refused".*"too-many-connections".*"clientAddress":"${named}"`),
      )
      held.use(await letIn(submissions, other))
      await first[Symbol.asyncDispose]()
      held.use(await letIn(submissions, one))
    })

    await context.test(`and before it has said a byte (${version})`, async () => {
      const localAddress = `127.0.8.${50 + index}`
      using held = new DisposableStack()
      const clients: SilentClient[] = []
      for (let count = 0; count <= connectionsMax; count++)
        clients.push(held.use(await silent(submissions, localAddress)))
      // Far less than the 30 s that a handshake has. Which of them is one too many HAProxy decides: its threads pass them on
      // in any order.
      await Promise.race([...clients.map(client => client.closed), sleep(10_000, null, { ref: false })])
      await sleep(100)
      assert.equal(clients.filter(client => client.isClosed()).length, 1)
    })
  }

  await context.test('a failed login is logged with the client’s address', async () => {
    const localAddress = '127.0.8.30'
    await using client = await SmtpClient.connect(fronts.submission, { localAddress })
    await client.hello()
    await client.startTls()
    const token = Buffer.from(`\0${login.username}\0wrong`).toString('base64')
    assert.equal((await client.command(`AUTH PLAIN ${token}`)).code, 535)
    const line = new RegExp(
      `"event":"auth\\.failed".*"clientAddress":"${localAddress.replaceAll('.', '\\.')}"`,
    )
    await logged(house, line)
  })

  await context.test(
    'a network of the relay listener sends without login and without that bound',
    async () => {
      await using held = new AsyncDisposableStack()
      for (let count = 0; count < 2 * connectionsMax; count++)
        held.use(await SmtpClient.connect(fronts.relay, { localAddress: printer }))
      await using client = await SmtpClient.connect(fronts.relay, { localAddress: printer })
      await client.hello()
      assert.equal((await accepted(house, client)).clientAddress, printer)
      await using stranger = await SmtpClient.connect(fronts.relay, { localAddress: '127.0.8.40' })
      await stranger.hello()
      assert.match((await stranger.command('MAIL FROM:<ann@acme.example>')).text, /^530 /)
    },
  )

  await context.test('HAProxy’s own health checks go through, and are bounded by nothing', async () => {
    await using held = new AsyncDisposableStack()
    for (let count = 0; count < 20; count++) {
      held.use(await SmtpClient.connect(fronts.submission, { localAddress: `127.0.9.${count + 1}` }))
      await sleep(50)
    }
    assert.doesNotMatch(house.server.output, new RegExp(`session\\.refused.*${balancer}`))
  })
})
