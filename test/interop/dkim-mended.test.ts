// Content that the door changes on demand is signed as it leaves: long lines encoded, bare LF mended. All judges see the
// signatures pass, and what the mail says is what it said.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId } from '../scenario/support/client.ts'
import { House, type Login, waitForAll } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import { type Sample, stuffed } from './support/corpus/index.ts'
import { bareLf, tooLong } from './support/corpus/mended.ts'
import { decodedBody } from './support/decoded.ts'
import { courtPeers } from './support/judges/index.ts'
import { needs } from './support/needs.ts'
import { goodVerdicts, openCourtFor, recordsOf, route, selectorsOf, tell } from './support/signing.ts'

const domain = 'acme.example'

const needed = await needs('knot', ...courtPeers)

test('content that the door changes is signed as it leaves', needed, async context => {
  await using owned = new AsyncDisposableStack()
  const receiver = owned.use(await Receiver.start())
  const house = owned.use(await House.open(route('there.example', receiver.port)))
  await house.server.json('account', 'create', 'signer')
  await house.server.json('domain', 'add', '--account', 'signer', '--trust', 'signed.example')
  const records = await recordsOf(house, 'signed.example')
  const court = await openCourtFor(owned, ['signed.example'], records)

  /** Hands the mails in as a client with this leave, and gives what came of each. */
  const passOn = async (samples: readonly Sample[], leave: readonly string[]): Promise<Buffer[]> => {
    const create = ['credential', 'create', '--account', 'signer', ...leave] as const
    const login = await house.server.json<Login & Record<string, never>>(...create)
    await using client = await house.client(login)
    const came: Buffer[] = []
    for (const { name, content, isEightBit } of samples) {
      const to = `mended${receiver.messages.length}@there.example`
      const mail = isEightBit ? ' BODY=8BITMIME' : ''
      const id = queuedId(await client.send('ann@signed.example', to, stuffed(ofSigner(content)), { mail }))
      await waitForAll(house.server, [id], 'delivered')
      const message = receiver.messages.find(one => one.to.includes(to))
      assert.ok(message !== undefined, name)
      came.push(message.content)
    }
    return came
  }

  const assertPasses = async (samples: readonly Sample[], mails: readonly Buffer[]): Promise<void> => {
    for (const judge of court)
      for (const [index, verdicts] of (await judge.judge(mails)).entries())
        assert.deepEqual(
          verdicts.map(tell).sort(),
          goodVerdicts(judge, 'signed.example', selectorsOf(records)),
          `${judge.name}, ${samples[index]!.name}`,
        )
  }

  await context.test('long lines, encoded', async () => {
    const mails = await passOn(tooLong, ['--long-lines', 'encode'])
    for (const [index, { name, content }] of tooLong.entries()) {
      const mail = mails[index]!
      const longest = Math.max(
        ...mail
          .toString('latin1')
          .split('\r\n')
          .map(line => line.length),
      )
      assert.ok(longest <= 998, `${name} has a line of ${longest} octets`)
      assert.deepEqual(decodedBody(mail), decodedBody(content), `${name} says something else`)
    }
    await assertPasses(tooLong, mails)
  })

  await context.test('bare LF, mended', async () => {
    const mails = await passOn(bareLf, ['--bare-lf', 'mend'])
    for (const [index, { name, content }] of bareLf.entries()) {
      const whole = ofSigner(content).toString('latin1').replaceAll(/\r?\n/g, '\r\n')
      assert.ok(mails[index]!.toString('latin1').endsWith(whole), `${name} says something else`)
    }
    await assertPasses(bareLf, mails)
  })
})

/** The same mail from the domain that signs. */
function ofSigner(content: Buffer): Buffer {
  return Buffer.from(content.toString('latin1').replaceAll(domain, 'signed.example'), 'latin1')
}
