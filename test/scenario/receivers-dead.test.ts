// Situation: every receiver is dead for two hours, and then all of them are back.
//
// libfaketime lets both clocks of the server run 600 times as fast, its timers too. Where it is missing,
// hours are too long for a test.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { FastClock } from './support/faults.ts'
import { House, message, type ShownEvent, type ShownMessage, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const minuteMs = 60_000
const speed = 600
const deadMs = 120 * minuteMs
const scheduleMs = [1, 5, 15, 30].map(minutes => minutes * minuteMs)
/** A moment of a busy machine. */
const slackMs = 5 * minuteMs
/** Ten sites: an address each, so that no name need be looked up in time that runs too fast for it. */
const hosts = Array.from({ length: 10 }, (_, number) => `127.0.1.${number + 1}`)
const messages = 60
/** Real time is short: whatever waits for a person or a peer must not end by that. */
const patient =
  '[limits]\nidle = "10h"\ndata_idle = "10h"\nsession = "20h"\nhandshake = "1h"\ndata_rate_min = 0\n'

test(
  'with every receiver dead for two hours mail is tried by its schedule, says why it waits, and is delivered when they are back',
  needsMachine(FastClock.isThere, 'libfaketime'),
  async t => {
    const port = await freePort()
    const routes = hosts.map(
      (host, number) => `[[route]]\nrecipient_domain = "d${number}.example"\nsmarthost = "${host}:${port}"\n`,
    )
    await using house = await House.open(
      `${routes.join('')}[delivery]\nconnect_timeout = "5m"\ngreeting_timeout = "10h"\ncommand_timeout = "10h"\n[retry]\nschedule = ["1m", "5m", "15m", "30m"]\nexpire = "2d"\n${patient}`,
      { env: FastClock.env(speed), relay: 'networks = ["127.0.0.0/8"]\naccount = "acme"' },
    )
    const { server } = house
    await using client = await house.client()
    const ids: string[] = []
    for (let number = 0; number < messages; number++)
      ids.push(
        queuedId(await client.send('ann@acme.example', `u@d${number % hosts.length}.example`, message())),
      )
    const begunMs = Math.max(
      ...acceptedMs(await waitForEvents(server, all => acceptedMs(all).length === ids.length)),
    )
    const isOver = (all: readonly ShownEvent[]) => Date.parse(all.at(-1)!.at) - begunMs > deadMs
    const dead = await waitForEvents(server, isOver, 90_000)
    const tries = dead.filter(one => one.type === 'deferred')
    assert.ok(
      dead.every(one => one.type === 'deferred' || one.type === 'accepted'),
      'nothing is given up',
    )
    for (const { attempt, at, nextAttemptAt, outcome } of tries) {
      const waitMs = Date.parse(nextAttemptAt!) - Date.parse(at)
      const wantedMs = scheduleMs[Math.min(attempt!, scheduleMs.length) - 1]!
      assert.ok(
        waitMs > wantedMs * 0.89 && waitMs < wantedMs * 1.11 + slackMs,
        `attempt ${attempt} is followed by ${waitMs} ms`,
      )
      assert.equal(outcome?.category, 'connect-failed')
    }
    // Of each message's own two hours: to send them all, and to see that the time is over, takes minutes of a clock so fast.
    const acceptedAt = new Map(
      dead.filter(one => one.type === 'accepted').map(one => [one.messageId, Date.parse(one.at)]),
    )
    const inTime = tries.filter(one => Date.parse(one.at) - acceptedAt.get(one.messageId)! <= deadMs)
    const attempts = Math.max(...inTime.map(one => one.attempt!))
    // 51 minutes for four waits, then one each half hour; a busy machine is late for each.
    assert.ok(attempts >= 4 && attempts <= 8, `${attempts} attempts in two hours`)
    t.diagnostic(`${tries.length} attempts of ${ids.length} recipients in two hours`)
    const shown = await server.json<ShownMessage & Record<string, never>>('message', 'show', ids[0]!)
    assert.equal(shown.recipients[0]!.outcome?.category, 'connect-failed')
    assert.match(shown.recipients[0]!.waitReasons[0]!.reason, /^(site-unreachable|ready)$/)
    // To a clock that runs so fast every commit is slow, and every turn of a loop late.
    const lines = server.output.split('\n').filter(line => !/"(?:store\.slow|loop\.late)"/.test(line))
    assert.ok(lines.length < 40, `the log is flooded:\n${lines.slice(-30).join('\n')}`)

    const receivers: Receiver[] = []
    t.after(() => Promise.all(receivers.map(one => one[Symbol.asyncDispose]())))
    for (const host of hosts) receivers.push(await Receiver.start({ host, port }))
    const backMs = Date.parse((await waitForEvents(server, () => true)).at(-1)!.at)
    const isDone = (all: readonly ShownEvent[]) =>
      all.filter(one => one.type === 'delivered').length === ids.length
    const ended = await waitForEvents(server, isDone, 90_000)
    const lastMs = Math.max(
      ...ended.filter(one => one.type === 'delivered').map(one => Date.parse(one.at) - backMs),
    )
    t.diagnostic(`the last was delivered ${Math.round(lastMs / minuteMs)} minutes after they were back`)
    // Half an hour and a tenth; an hour of this clock is six seconds of a machine that may be busy.
    assert.ok(lastMs < 120 * minuteMs, `the last came ${lastMs} ms after they were back`)
    const taken = receivers.reduce((sum, one) => sum + one.messages.length, 0)
    assert.equal(taken, ids.length, 'each once')
  },
)

function acceptedMs(events: readonly ShownEvent[]): number[] {
  return events.filter(one => one.type === 'accepted').map(one => Date.parse(one.at))
}
