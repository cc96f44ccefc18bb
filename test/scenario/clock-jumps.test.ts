// Situation: somebody sets the system's clock while mail waits: a day ahead, a day back, or back while the server is down.
//
// libfaketime gives the server a wall clock that the test sets; its monotonic clock stays real, as in a real machine.
// Waits and lives must keep their length: nothing is given up at once, and nothing stands still for a day. Where
// libfaketime is missing (`npm test` installs it as root on Debian) no clock can be set.

import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { FakeClock, logged, waitForLog } from './support/faults.ts'
import {
  makeAccount,
  message,
  type ShownMessage,
  typesOf,
  waitForAll,
  waitForEvents,
} from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const dayMs = 86_400_000
const toml = (route: string, port: number) =>
  `${route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["8s"]\nexpire = "12h"\n`

describe('when the clock is set', needsMachine(FakeClock.isThere, 'libfaketime'), () => {
  /** Attempts that the receiver still defers; all further ones it takes. */
  let deferrals = 0
  const folder = mkdtempSync(join(tmpdir(), 'postrider-clock-'))
  const clock = new FakeClock(join(folder, 'clock'))
  let receiver: Receiver
  let server: Postrider
  let port: number
  const ledger: string[] = []

  const start = async (): Promise<void> => {
    server = await Postrider.start({ toml: toml(receiver.route, port), folder, env: clock.env })
  }
  before(async () => {
    receiver = await Receiver.start({ rcpt: () => (deferrals-- > 0 ? '451 4.0.0 later' : '250 ok') })
    port = await freePort()
    await start()
    await makeAccount(server, 'acme', 'acme.example')
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    await receiver?.[Symbol.asyncDispose]()
  })

  /** A message that has been deferred, and so waits for its next attempt. */
  async function waiting(): Promise<string> {
    deferrals = 1
    await using client = await SmtpClient.connect(port)
    await client.hello()
    const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
    ledger.push(id)
    await waitForAll(server, [id], 'deferred')
    return id
  }

  const show = (id: string) => server.json<Shown>('message', 'show', id)
  type Shown = ShownMessage & Record<string, never> & { readonly expiresAt: string }

  for (const [name, days] of [
    ['a day back', -1],
    ['a day ahead, past every expiry', 1],
    ['a week ahead', 7],
  ] as const)
    test(`set ${name}: what waits is tried after its old wait, and nothing is given up`, async () => {
      const id = await waiting()
      const before = await show(id)
      const logBefore = server.output.length
      clock.jump(days * dayMs)
      const [line] = await waitForLog(() => server.output.slice(logBefore), 'clock.jumped')
      assert.ok(Math.abs(Number(line!['byMs']) - days * dayMs) < 60_000, String(line!['byMs']))
      const after = await show(id)
      const [waits] = after.recipients
      // On a busy machine it may be under way by now.
      if (waits!.state === 'scheduled') {
        assert.equal(waits!.waitReasons[0]?.reason, 'next-attempt')
        const toldMs = Date.parse(waits!.nextAttemptAt!) - Date.parse(before.recipients[0]!.nextAttemptAt!)
        assert.ok(Math.abs(toldMs - days * dayMs) < 60_000, `its next attempt was moved by ${toldMs} ms`)
      }
      const movedMs = Date.parse(after.expiresAt) - Date.parse(before.expiresAt)
      assert.ok(Math.abs(movedMs - Math.max(0, days) * dayMs) < 60_000, `the expiry moved by ${movedMs} ms`)
      // The second attempt comes as if nothing had happened, by the new clock.
      const events = await waitForAll(server, [id], 'delivered')
      const [deferred, delivered] = events.filter(one => one.messageId === id).slice(-2)
      const apartMs = Date.parse(delivered!.at) - Date.parse(deferred!.at) - days * dayMs
      assert.ok(apartMs > 6000 && apartMs < 30_000, `tried again after ${apartMs} ms`)
      assert.deepEqual(typesOf(events, id), ['accepted', 'deferred', 'delivered'])
    })

  test('set back while the server is down: the next start tries what waits after its wait', async () => {
    const id = await waiting()
    assert.equal(await server.stop(), 0)
    clock.jump(-2 * dayMs)
    await start()
    assert.ok(Number(logged(server.output, 'clock.jumped')[0]?.['byMs']) < -dayMs)
    await waitForAll(server, [id], 'delivered')
  })

  test('a message in flight while the clock is set a day ahead is not given up when it is deferred', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<string>()
    await using slow = await Receiver.start({ endOfData: () => mayAnswer })
    const id = await waiting()
    await server.json('queue', 'reroute', id, '--smarthost', `127.0.0.1:${slow.port}`, '--yes')
    await slow.waitFor(() => slow.commands.includes('DATA'))
    const logBefore = server.output.length
    clock.jump(dayMs)
    await waitForLog(() => server.output.slice(logBefore), 'clock.jumped')
    answer('451 4.0.0 not now')
    const events = await waitForEvents(server, all => {
      const last = all.filter(one => one.messageId === id).at(-1)
      return last?.outcome?.text?.includes('not now') === true
    })
    assert.equal(events.filter(one => one.messageId === id).at(-1)?.type, 'deferred')
    await server.json('queue', 'reroute', id, '--smarthost', `127.0.0.1:${receiver.port}`, '--yes')
    await waitForAll(server, [id], 'delivered')
  })

  test('in the end everything that was accepted has been delivered once', async () => {
    const events = await waitForAll(server, ledger, 'delivered')
    assert.equal(events.filter(one => one.type === 'delivered').length, ledger.length)
    assert.deepEqual(await server.json<never[]>('queue', 'list'), [])
  })
})
