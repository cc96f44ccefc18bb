// Debian's chasquid 1.11 loses commands that come in one write with the end of a content, though it offers PIPELINING. Mail in
// bursts must come to it all the same: each mail once, and its connections stand still for seconds, once (decision 0033).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId } from '../scenario/support/client.ts'
import { House, message, waitForEvents } from '../scenario/support/house.ts'
import { freePort, startChasquidReceiver } from '../support/peers/index.ts'
import { needs } from './support/needs.ts'

const domain = 'chasquid.example'
const sessions = 4
const mailsEach = 25
const burst = sessions * mailsEach

/** Of all sizes up to 14 KiB: chasquid loses the rest of a piece of 4096 octets, which may end inside of our commands. */
const mailOf = (session: number, i: number): string =>
  message([], `${'x'.repeat(62)}\r\n`.repeat((session * mailsEach + i) * 2.3))

test(
  'bursts of mail reach a server that loses grouped commands, each mail once and soon',
  await needs('chasquid'),
  async () => {
    const listenAddress = '127.0.0.1'
    await using chasquid = await startChasquidReceiver({ listenAddress, port: await freePort(), domain })
    await using house = await House.open(
      `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "127.0.0.1:${chasquid.port}"\n`,
    )

    /** Submits a burst over a few sessions; returns after how many milliseconds all of it was delivered. */
    const send = async (name: string, total: number): Promise<number> => {
      const startedMs = performance.now()
      await Promise.all(
        Array.from({ length: sessions }, async (_, session) => {
          await using client = await house.client()
          for (let i = 0; i < mailsEach; i++)
            queuedId(
              await client.send(
                'ann@acme.example',
                [`${name}-${session}-${i}@${domain}`],
                mailOf(session, i),
              ),
            )
        }),
      )
      const events = await waitForEvents(
        house.server,
        all => all.filter(({ type }) => type === 'delivered').length >= total,
        60_000,
      )
      assert.deepEqual(
        events.filter(({ type }) => type === 'deferred' || type === 'bounced'),
        [],
      )
      return performance.now() - startedMs
    }

    const firstMs = await send('first', burst)
    const secondMs = await send('second', 2 * burst)
    assert.ok(firstMs < 40_000, `the first burst took ${firstMs} ms`)
    assert.ok(secondMs < 15_000, `the second burst took ${secondMs} ms: what was learnt is of no use`)
    const mails = await chasquid.waitFor(2 * burst)
    const recipients = mails.flatMap(({ rcptTo }) => rcptTo)
    assert.equal(recipients.length, 2 * burst)
    assert.equal(new Set(recipients).size, 2 * burst)
  },
)
