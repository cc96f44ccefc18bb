// Situation: the server has no file descriptor left: it can accept, connect, open and read nothing new.
//
// prlimit takes them away from a running process and gives them back. What goes on: sessions and connections that are
// open, the database, the segment that is being written. Everything else must wait without being busy with it, say why,
// and come back by itself. Where there is no prlimit nothing can be taken (support/faults.ts).

import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { queuedId } from './support/client.ts'
import { assertIsIdle, hasFaultTools, logged, NoDescriptors, waitForReadiness } from './support/faults.ts'
import { House, message, type ShownMessage, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))

test(
  'without descriptors the doors are closed now and then instead of spinning, mail waits for our own sake, and all of it comes back',
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
    const paused = logged(server.output, 'listener.paused')
    assert.ok(paused.every(line => line['code'] === 'EMFILE'))
    const minutes = Math.ceil((performance.now() - begunMs) / 60_000)
    for (const lines of Map.groupBy(paused, line => `${line['thread']} ${line['address']}`).values())
      assert.ok(lines.length <= minutes, `a door was told of ${lines.length} times in ${minutes} minutes`)
    const others = server.output.slice(logBefore).split('\n').length - paused.length
    assert.ok(others < 60, `${others} lines of log`)
  },
)
