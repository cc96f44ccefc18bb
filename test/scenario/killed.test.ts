// Situation: Postrider is killed (kill -9) at random moments under load, again and again, on the same data.
//
// A ledger holds every message that was answered 250. In the end each of them must have reached the receiver, whole, for
// each recipient; and one that came twice must be marked as uncertain in the event log. POSTRIDER_CRASH_ROUNDS sets
// the number of rounds (6).

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { makeAccount, type ShownEvent, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const rounds = Number(process.env['POSTRIDER_CRASH_ROUNDS'] ?? 6)
const sessions = 8

interface Submitted {
  readonly to: readonly string[]
  readonly bodyHash: string
}

/** By id, only what was acknowledged. */
type Ledger = Map<string, Submitted>

let serial = 0

/** Sends until the connection breaks; what was answered 250 goes into the ledger. */
async function sendUntilKilled(port: number, ledger: Ledger): Promise<void> {
  try {
    await using client = await SmtpClient.connect(port)
    await client.hello()
    for (;;) {
      const number = ++serial
      // Now and then one that goes into a segment file, and one of several recipients.
      const lines = number % 5 === 0 ? 700 : 10
      const body = `message ${number} ${'z'.repeat(60)}\r\n`.repeat(lines)
      const to = Array.from({ length: number % 3 === 0 ? 3 : 1 }, (_, at) => `r${number}-${at}@there.example`)
      const header = `From: ann@acme.example\r\nSubject: ${number}\r\n\r\n`
      const reply = await client.send('ann@acme.example', to, header + body.slice(0, -2))
      ledger.set(queuedId(reply), { to, bodyHash: hash(body) })
    }
  } catch {
    // The server is gone: what was not answered does not count.
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

test('nothing that was acknowledged is lost, and only what is marked uncertain comes twice', async t => {
  await using receiver = await Receiver.start()
  const folder = mkdtempSync(join(tmpdir(), 'postrider-killed-'))
  const port = await freePort()
  const toml = `${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n[log]\nlevel = "warn"\n`
  const ledger: Ledger = new Map()
  for (let round = 0; round < rounds; round++) {
    const server = await Postrider.start({ toml, folder })
    if (round === 0) await makeAccount(server, 'acme', 'acme.example')
    const load = Promise.all(Array.from({ length: sessions }, () => sendUntilKilled(port, ledger)))
    const before = ledger.size
    while (ledger.size === before) await sleep(5)
    await sleep(Math.random() * 400)
    await server.kill()
    await load
    t.diagnostic(`round ${round + 1}: ${ledger.size - before} acknowledged`)
  }
  await using server = await Postrider.start({ toml, folder })
  const events = await waitForEvents(server, all => isSettled(all), 60_000)
  assert.ok(ledger.size >= rounds)
  checkLedger(ledger, receiver, events)
  assert.deepEqual(await server.json<never[]>('queue', 'list'), [])
})

/** Every recipient of every accepted message has come to its end. */
function isSettled(events: readonly ShownEvent[]): boolean {
  const open = new Set<string>()
  for (const event of events)
    if (event.type === 'accepted') {
      const { forwardPaths } = event as unknown as { forwardPaths: string[] }
      for (const number of forwardPaths.keys()) open.add(`${event.messageId}.${number}`)
    } else if (['delivered', 'bounced', 'expired'].includes(event.type)) open.delete(event.recipientId!)
  return open.size === 0
}

function checkLedger(ledger: Ledger, receiver: Receiver, events: readonly ShownEvent[]): void {
  const uncertain = new Set(
    events.filter(event => event.outcome?.isUncertain === true).map(event => event.recipientId),
  )
  const ends = new Map<string, number>()
  for (const { type, recipientId } of events)
    if (type === 'delivered') ends.set(recipientId!, (ends.get(recipientId!) ?? 0) + 1)
  const arrived = new Map<string, number>()
  for (const { to, content } of receiver.messages) {
    const id = /\tid (msg_[a-z2-7]{26})/.exec(content.toString('latin1', 0, 2000))?.[1]
    const wanted = ledger.get(id!)
    const body = content.toString('latin1').slice(content.indexOf('\r\n\r\n') + 4)
    if (wanted !== undefined) assert.equal(hash(body), wanted.bodyHash, `${id} came whole`)
    for (const path of to) arrived.set(`${id} ${path}`, (arrived.get(`${id} ${path}`) ?? 0) + 1)
  }
  for (const [id, { to }] of ledger)
    for (const [number, path] of to.entries()) {
      const times = arrived.get(`${id} ${path}`) ?? 0
      assert.ok(times >= 1, `${id} to ${path} was acknowledged and is lost`)
      assert.ok(
        times === 1 || uncertain.has(`${id}.${number}`),
        `${id}.${number} came ${times} times unmarked`,
      )
      assert.equal(ends.get(`${id}.${number}`), 1, `${id}.${number} has one delivered event`)
    }
}
