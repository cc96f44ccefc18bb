// Situation: one account fills the queue with mail for receivers that are slow or dead (the row "queue
// flood by one tenant" of the resource-exhaustion table), with many recipients and with large contents,
// far more than memory may hold.
//
// The slow receiver answers nothing until the end: ordinary mail of another account gets through although not one
// recipient of the flood is done. How long it takes is held against a server without a flood on the same machine: each has a
// message in turn, so that whatever else the machine does, at any time, slows both. Three times at most: a busy machine
// may spoil one, a flood that slows others down spoils all.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { type Login, makeAccount, message } from './support/house.ts'
import { Receiver } from './support/receiver.ts'
import { describe, Siege } from './support/siege.ts'

const recipientsEach = 100
const messages = 100
const largeMessages = 60
const large = `${'m'.repeat(76)}\r\n`.repeat(1300)

/** Ordinary messages of a measurement, through each of the two servers. */
const measured = 200
/** How much longer they may take at the flooded one: so many times, and the slowest so much more beyond that. */
const ratioMax = 2
const slackMs = 50

const answered = Promise.withResolvers<string>()
let slow: Receiver
let siege: Siege
/** Nobody floods it. */
let neighbour: Siege
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
  neighbour = await Siege.open()
  flooder = await makeAccount(siege.house.server, 'flood', 'flood.example')
})
after(async () => {
  await neighbour[Symbol.asyncDispose]()
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

interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Of both servers in the same seconds. */
interface Measurement {
  readonly flooded: Latency
  readonly calm: Latency
}

const besideTriesMax = 3

function isFair({ flooded, calm }: Measurement): boolean {
  return flooded.p50Ms <= ratioMax * calm.p50Ms && flooded.p99Ms <= ratioMax * calm.p99Ms + slackMs
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1]!
}

function latency(tookMs: readonly number[]): Latency {
  return { p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) }
}

/** How long an ordinary message takes, from connecting to having arrived. */
async function timeMs(at: Siege): Promise<number> {
  const startMs = performance.now()
  await at.sendOrdinary()
  return performance.now() - startMs
}

/** Ordinary messages, one after the other, through both servers in turn. */
async function measure(): Promise<Measurement> {
  const floodedMs: number[] = []
  const calmMs: number[] = []
  for (let i = 0; i < measured; i++) {
    floodedMs.push(await timeMs(siege))
    calmMs.push(await timeMs(neighbour))
  }
  return { flooded: latency(floodedMs), calm: latency(calmMs) }
}

function inWords({ flooded, calm }: Measurement): string {
  const [one, other] = [flooded, calm].map(
    ({ p50Ms, p99Ms }) => `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
  )
  return `${one} (at the neighbour ${other})`
}

test('an account that floods the queue for slow and dead receivers keeps nobody else’s mail waiting: half of it comes within twice the time, 99 of 100 within twice and 50 ms', {
  timeout: 300_000,
}, async t => {
  // Both are warm afterwards.
  const earlier = inWords(await measure())
  t.diagnostic(`before the flood: ${earlier}`)
  const beside: Measurement[] = []
  const cost = await siege.during(async () => {
    await Promise.all([
      flood('slow.example', messages, recipientsEach),
      flood('slow.example', largeMessages, 1, large),
      flood('dead.example', messages / 10, recipientsEach),
    ])
    // The queue is full now, and more comes all the time.
    let isOver = false
    const more = async (): Promise<void> => {
      while (!isOver) {
        await flood('slow.example', 1, recipientsEach)
        await flood('dead.example', 1, recipientsEach)
        await sleep(50)
      }
    }
    const flooding = more()
    try {
      while (beside.length < besideTriesMax && !beside.some(isFair)) beside.push(await measure())
    } finally {
      isOver = true
    }
    await flooding
  }, 128)
  const seen = beside.map(inWords).join(', then ')
  t.diagnostic(`beside the flood: ${seen}`)
  t.diagnostic(`${to.size} recipients were sent by the flood; ${describe(cost)}`)
  assert.equal(slow.messages.length, 0, 'and nothing of the flood is done')
  assert.ok(beside.some(isFair), `beside the flood ${seen}; before it ${earlier}`)
})

test('the flood itself is delivered, each once, when the slow receiver answers', async () => {
  answered.resolve('250 2.0.0 taken')
  await slow.waitFor(() => slow.messages.length > 0, 60_000)
  // What the silent host let wait for too long would come again after some minutes only.
  await siege.house.server.json('queue', 'retry', '--all', '--yes')
  const wanted = [...to].filter(path => path.endsWith('@slow.example')).sort()
  const taken = (): string[] => slow.messages.flatMap(one => one.to)
  await slow.waitFor(() => taken().length >= wanted.length, 120_000)
  assert.deepEqual(taken().sort(), wanted)
})
