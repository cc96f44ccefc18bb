// Situation: one account fills the queue with mail for receivers that are slow or dead (the row "queue flood by one tenant" of
// the resource-exhaustion table), with many recipients and with large contents, far more than memory may hold.
//
// The slow receiver answers nothing until the end, so that no time need be measured: ordinary mail of another account gets
// through although not one recipient of the flood is done, or it does not get through at all.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { type Login, makeAccount, message } from './support/house.ts'
import { Receiver } from './support/receiver.ts'
import { describe, Siege } from './support/siege.ts'

const recipientsEach = 100
const messages = 100
const largeMessages = 60
const large = `${'m'.repeat(76)}\r\n`.repeat(1300)

const answered = Promise.withResolvers<string>()
let slow: Receiver
let siege: Siege
let flooder: Login

before(async () => {
  slow = await Receiver.start({ endOfData: () => answered.promise })
  const routes = Object.entries({ 'slow.example': slow.port, 'dead.example': await freePort() })
  siege = await Siege.open({
    toml: [
      '[limits]\nready_queue_recipients = 1000\nready_queue_size = "4MiB"',
      '[retry]\nschedule = ["1s"]',
      ...routes.map(
        ([domain, port]) => `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "127.0.0.1:${port}"`,
      ),
    ].join('\n'),
  })
  flooder = await makeAccount(siege.house.server, 'flood', 'flood.example')
})
after(async () => {
  await siege[Symbol.asyncDispose]()
  await slow[Symbol.asyncDispose]()
})

const to = new Set<string>()

/** Sends so many messages with so many recipients each, all in one write but for the end. */
async function flood(domain: string, count: number, recipients: number, body?: string): Promise<void> {
  await using client = await siege.house.client(flooder)
  const text = message([], body).replace('ann@acme.example', 'f@flood.example')
  for (let i = 0; i < count; i++) {
    const paths = Array.from({ length: recipients }, (_, n) => `u${to.size + n}@${domain}`)
    for (const path of paths) to.add(path)
    const commands = paths.map(path => `RCPT TO:<${path}>\r\n`).join('')
    client.write(`MAIL FROM:<f@flood.example>\r\n${commands}DATA\r\n`)
    for (let left = recipients + 1; left > 0; left--) await client.expect(250)
    await client.expect(354)
    client.write(`${text}\r\n.\r\n`)
    queuedId(await client.reply())
  }
}

test('an account that floods the queue for slow and dead receivers keeps nobody else’s mail waiting', {
  timeout: 120_000,
}, async t => {
  const cost = await siege.during(async () => {
    await Promise.all([
      flood('slow.example', messages, recipientsEach),
      flood('slow.example', largeMessages, 1, large),
      flood('dead.example', messages / 10, recipientsEach),
    ])
    for (let i = 0; i < 10; i++) await siege.sendOrdinary()
  }, 128)
  assert.equal(slow.messages.length, 0, 'and nothing of the flood is done')
  t.diagnostic(describe(cost))
})

test('the flood itself is delivered, each once, when the slow receiver answers', async () => {
  answered.resolve('250 2.0.0 taken')
  const wanted = [...to].filter(path => path.endsWith('@slow.example')).sort()
  const taken = (): string[] => slow.messages.flatMap(one => one.to)
  await slow.waitFor(() => taken().length >= wanted.length, 120_000)
  assert.deepEqual(taken().sort(), wanted)
})
