// HAProxy in front of the doors, with send-proxy and send-proxy-v2: who the client is, is what HAProxy says. Its address
// stands in the event log, and the bounds for one address count for it and not for the balancer.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { queuedId, SmtpClient } from '../scenario/support/client.ts'
import { House, message, type ShownEvent, waitForAll } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import { freePort, isListening, Program, Scratch } from '../support/peers/index.ts'
import { needs } from './support/needs.ts'

/** HAProxy connects from here; only this address may say who a client is. */
const balancer = '127.0.7.1'
/** Sends to the relay door without login; no bounds for its address. */
const printer = '127.0.7.20'
const connectionsMax = 2
const versions = ['v1', 'v2'] as const

type Front = 'v1' | 'v2' | 'implicit' | 'relay'
type Fronts = Readonly<Record<Front, number>>

interface Stage {
  readonly house: House
  readonly fronts: Fronts
}

async function openStage(owned: AsyncDisposableStack): Promise<Stage> {
  const receiver = owned.use(await Receiver.start())
  // Bounds are shared out among threads; with one of them they can be counted.
  const top = 'relay_threads = 1\n'
  const limits = `[limits]\nconnections_per_address = ${connectionsMax}\n`
  const proxied = `proxy_protocol = ["${balancer}"]`
  const house = owned.use(
    await House.open(`${top}${receiver.route}${limits}`, {
      relay: `${proxied}\nnetworks = ["${printer}"]\naccount = "acme"`,
      submission: proxied,
    }),
  )
  const { folder, fronts } = {
    folder: owned.use(await Scratch.create('haproxy')).path,
    fronts: await freePorts(),
  }
  const { submission, submissions, relay } = house.ports
  const toSubmission = `127.0.0.1:${submission} source ${balancer}`
  const listen = (front: Front, ...lines: readonly string[]): string =>
    [`listen ${front}`, `bind 127.0.0.1:${fronts[front]}`, ...lines].join('\n  ')
  const configuration = [
    'defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m',
    listen('v1', `server postrider ${toSubmission} send-proxy`),
    // One check that fails takes the server away.
    listen(
      'v2',
      'option smtpchk EHLO balancer.example',
      `server postrider ${toSubmission} send-proxy-v2 check check-send-proxy inter 50ms fall 1`,
    ),
    listen('implicit', `server postrider 127.0.0.1:${submissions} source ${balancer} send-proxy-v2`),
    listen('relay', `server postrider 127.0.0.1:${relay} source ${balancer} send-proxy-v2`),
  ]
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, `${configuration.join('\n')}\n`)
  const program = owned.use(
    new Program({ name: 'haproxy', command: '/usr/sbin/haproxy', args: ['-db', '-f', file] }),
  )
  await program.until('a listener', () => isListening('127.0.0.1', fronts.relay))
  return { house, fronts }
}

async function freePorts(): Promise<Fronts> {
  return { v1: await freePort(), v2: await freePort(), implicit: await freePort(), relay: await freePort() }
}

/** Sends a message over a connection; gives its `accepted` event. */
async function accepted(house: House, client: SmtpClient): Promise<ShownEvent> {
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  const events = await waitForAll(house.server, [id], 'accepted')
  return events.find(event => event.messageId === id && event.type === 'accepted')!
}

/** The first reply, whatever it is, with its connection. */
async function knock(port: number, localAddress: string): Promise<{ text: string; client: SmtpClient }> {
  const client = await SmtpClient.open(port, { localAddress })
  return { text: (await client.replyOrEnd())?.text ?? 'closed', client }
}

/** Knocks until it is let in; the end of another connection may take a moment. */
async function letIn(port: number, localAddress: string): Promise<SmtpClient> {
  for (let tries = 0; ; tries++) {
    const { text, client } = await knock(port, localAddress)
    if (text.startsWith('220')) return client
    await client[Symbol.asyncDispose]()
    if (tries > 200) throw new Error(`not let in: ${text}`)
    await sleep(25)
  }
}

const needed = await needs('haproxy')

test('behind HAProxy the client is whom HAProxy names', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const { house, fronts } = await openStage(owned)
  const { login } = house

  for (const [index, version] of versions.entries())
    await context.test(
      `send-proxy (${version}): STARTTLS and login work, the event log has its address`,
      async () => {
        const localAddress = `127.0.8.${index + 1}`
        await using client = await SmtpClient.connect(fronts[version], { localAddress })
        await client.login(login.username, login.secret)
        assert.equal((await accepted(house, client)).clientAddress, localAddress)
      },
    )

  await context.test('the header goes before TLS from the first byte, too', async () => {
    const localAddress = '127.0.8.3'
    await using client = await SmtpClient.connect(fronts.implicit, { localAddress, isTls: true })
    await client.hello()
    const token = Buffer.from(`\0${login.username}\0${login.secret}`).toString('base64')
    assert.equal((await client.command(`AUTH PLAIN ${token}`)).code, 235)
    assert.equal((await accepted(house, client)).clientAddress, localAddress)
  })

  for (const [index, version] of versions.entries())
    await context.test(`the bound of connections counts for each client (${version})`, async () => {
      const port = fronts[version]
      const [one, other] = [`127.0.8.${10 + index}`, `127.0.8.${20 + index}`]
      await using held = new AsyncDisposableStack()
      const first = await letIn(port, one)
      for (let count = 1; count < connectionsMax; count++) held.use(await letIn(port, one))
      const { text, client } = await knock(port, one)
      held.use(client)
      assert.match(
        text,
        new RegExp(`^421 4\\.7\\.0 ${one.replaceAll('.', '\\.')} has .*\\[too-many-connections\\]`),
      )
      held.use(await letIn(port, other))
      await first[Symbol.asyncDispose]()
      held.use(await letIn(port, one))
    })

  await context.test('a failed login is logged with the client’s address', async () => {
    const localAddress = '127.0.8.30'
    await using client = await SmtpClient.connect(fronts.v2, { localAddress })
    await client.hello()
    await client.startTls()
    const token = Buffer.from(`\0${login.username}\0wrong`).toString('base64')
    assert.equal((await client.command(`AUTH PLAIN ${token}`)).code, 535)
    const line = new RegExp(
      `"event":"auth\\.failed".*"clientAddress":"${localAddress.replaceAll('.', '\\.')}"`,
    )
    for (let tries = 0; !line.test(house.server.output) && tries < 200; tries++) await sleep(50)
    assert.match(house.server.output, line)
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
      held.use(await SmtpClient.connect(fronts.v2, { localAddress: `127.0.9.${count + 1}` }))
      await sleep(50)
    }
    assert.doesNotMatch(house.server.output, new RegExp(`session\\.refused.*${balancer}`))
  })
})
