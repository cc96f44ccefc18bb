// Situation: the server has no file descriptor left: it can accept, connect, open and read nothing new.
//
// prlimit takes them away from a running process and gives them back. What goes on: sessions and connections that are
// open, the database, the segment that is being written. Everything else must wait without being busy with it, say why,
// and come back by itself. Where there is no prlimit nothing can be taken (support/faults.ts).

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needsMachine } from '../support/needs-machine.ts'
import { Postrider } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import {
  assertIsIdle,
  hasFaultTools,
  logged,
  NoDescriptors,
  waitForLog,
  waitForReadiness,
} from './support/faults.ts'
import { doors, House, message, type ShownMessage, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

/** Asks for /readyz on one connection that stays open, as a load balancer's may. */
class ReadinessLine implements Disposable {
  readonly #port: number
  readonly #agent: http.Agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  connections = 0

  constructor(port: number) {
    this.#port = port
  }

  /** Asks until it has this status; gives its text. */
  async waitFor(status: number): Promise<string> {
    const endMs = Date.now() + 10_000
    for (;;) {
      const request = http.get({ host: '127.0.0.1', port: this.#port, path: '/readyz', agent: this.#agent })
      const [answer] = (await once(request, 'response')) as [http.IncomingMessage]
      if (!request.reusedSocket) this.connections++
      let text = ''
      for await (const part of answer) text += String(part)
      if (answer.statusCode === status) return text
      assert.ok(Date.now() < endMs, `/readyz stayed at ${answer.statusCode}: ${text}`)
      await sleep(50)
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** Clients that connect and stay, so that a descriptor that becomes free after all is taken by the next of them. */
class Strangers implements Disposable {
  readonly #port: number
  readonly #sockets: net.Socket[] = []

  constructor(port: number) {
    this.#port = port
  }

  /** One more; gives what it is greeted with, '' when it is closed before. */
  async connect(): Promise<string> {
    const socket = net.connect(this.#port, '127.0.0.1')
    this.#sockets.push(socket)
    return await new Promise<string>(resolve => {
      socket.once('data', part => resolve(String(part)))
      socket.once('close', () => resolve(''))
      socket.on('error', () => {})
    })
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))

test(
  'without descriptors nothing spins, mail waits for our own sake, and all of it comes back',
  needsMachine(hasFaultTools, 'strace'),
  async () => {
    await using receiver = await Receiver.start()
    await using house = await House.open(
      `${receiver.route}[delivery]\nidle_connection = "1s"\n[retry]\nschedule = ["2s"]\n`,
      { relay: 'networks = ["127.0.0.0/8"]\naccount = "acme"' },
    )
    const { server, ports } = house
    await using client = await house.client()
    const ledger: string[] = []
    const send = async (content: string) => {
      const reply = await client.send('ann@acme.example', 'bob@there.example', content)
      if (reply.code === 250) ledger.push(queuedId(reply))
      return reply
    }
    assert.equal((await send(message())).code, 250)
    await waitForAll(server, ledger, 'delivered')
    const sockets: net.Socket[] = []
    const { length: logBefore } = server.output
    // No connection to the receiver is kept; a session that is open goes on.
    await receiver.waitFor(() => receiver.openSessions === 0)
    const begunMs = performance.now()
    {
      using _none = new NoDescriptors(server.processId)
      const reply = await send(message())
      assert.equal(reply.code, 250, reply.text)
      await assertIsIdle(server.processId)
      for (let i = 0; i < 60; i++) {
        const socket = net.connect(i % 2 === 0 ? ports.relay : ports.submission, '127.0.0.1')
        socket.on('error', () => {})
        sockets.push(socket)
      }
      for (let i = 0; i < 10; i++)
        await fetch(`http://127.0.0.1:${server.httpPort}/readyz`, {
          signal: AbortSignal.timeout(2000),
        }).catch(() => null)
      await assertIsIdle(server.processId)
      // A large content needs a file of its own: stored or refused, never lost.
      assert.match((await send(large)).text, /^(250|452 4\.3\.1 .*\[store-failed\])/)
      await assertIsIdle(server.processId)
    }
    for (const socket of sockets) socket.destroy()
    await waitForReadiness(server, 200)
    const events = await waitForEvents(server, all =>
      all.some(one => one.type === 'deferred' && /no file descriptor left/.test(one.outcome?.text ?? '')),
    )
    const deferred = events.find(one => one.type === 'deferred')!
    assert.equal(deferred.outcome?.scope, 'configuration', 'not the receiver is to blame')
    const shown = await server.json<ShownMessage & Record<string, never>>(
      'message',
      'show',
      deferred.messageId!,
    )
    const [recipient] = shown.recipients
    if (recipient?.state === 'scheduled') assert.equal(recipient.waitReasons[0]?.reason, 'next-attempt')
    await using fresh = await house.client()
    ledger.push(queuedId(await fresh.send('ann@acme.example', 'bob@there.example', large)))
    await waitForAll(server, ledger, 'delivered')
    const told = logged(server.output, 'descriptors.none-left')
    const minutes = Math.ceil((performance.now() - begunMs) / 60_000)
    assert.ok(told.length >= 1 && told.length <= minutes, `told ${told.length} times in ${minutes} minutes`)
    const lines = server.output.slice(logBefore).split('\n').length
    assert.ok(lines < 60, `${lines} lines of log`)
  },
)

test(
  'while new connections are closed unheard, /readyz says 503 and why to who is connected, and 200 once there are descriptors again',
  needsMachine(hasFaultTools, 'prlimit'),
  async () => {
    const { toml, ports } = await doors()
    await using server = await Postrider.start({ toml })
    using line = new ReadinessLine(server.httpPort)
    await line.waitFor(200)
    using strangers = new Strangers(ports.submission)
    assert.match(await strangers.connect(), /^220 /)
    {
      using _none = new NoDescriptors(server.processId)
      // Accept fails: nobody is greeted, nor told why.
      for (let round = 0; (await strangers.connect()) !== ''; round++)
        assert.ok(round < 20, 'all are greeted')
      assert.equal(
        await line.waitFor(503),
        '{"status":"not-ready","reasons":["no file descriptor is left (EMFILE): new connections are closed unheard"]}\n',
      )
      assert.equal(await strangers.connect(), '')
      const [told] = await waitForLog(() => server.output, 'descriptors.none-left')
      assert.deepEqual([told?.['level'], told?.['code']], ['error', 'EMFILE'])
    }
    await line.waitFor(200)
    assert.equal(line.connections, 1)
    await waitForLog(() => server.output, 'descriptors.free-again')
    assert.match(await strangers.connect(), /^220 /)
  },
)
