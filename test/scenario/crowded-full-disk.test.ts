// Situation: the disk is full, to the last byte or to the last inode, and a crowd pushes contents at it all the same (the row
// "disk full, inode full" of the resource-exhaustion table, with its bounds on memory and on who must wait).
//
// Everybody hears 452 and none of it is kept, an ordinary client hears it as soon as ever or, where small contents need no
// inode, is served; with room again everybody is. What the disk itself may do: full-disk.test.ts, failing-disk.test.ts.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryPeak } from '../support/memory-peak.ts'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { type ClientReply, queuedId, SmtpClient } from './support/client.ts'
import { hasFaultTools, waitForReadiness } from './support/faults.ts'
import { eventsOf, makeAccount, message, waitForAll } from './support/house.ts'
import { IdleDialogue } from './support/idle-dialogue.ts'
import { Receiver } from './support/receiver.ts'
import { SmallDisk } from './support/small-disk.ts'

const mebibyte = 1024 * 1024
/** Of a crowd that pushes 400 MiB, a hundred at a time: about 60 to 96 are what a busy server takes, contents not kept. */
const growthMax = 128 * mebibyte
const crowd = 100
const rounds = 4
/** What an ordinary client may wait for its answer, on a machine that does nothing else. */
const slowestMsMax = 3000

const line = `${'x'.repeat(70)}\r\n`
const large = message([], line.repeat(mebibyte / line.length))

/** A server on a disk of its own, and what was accepted there. */
class Full implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack
  readonly server: Postrider
  readonly disk: SmallDisk
  readonly receiver: Receiver
  readonly #port: number
  readonly ledger: string[] = []

  private constructor(
    owned: AsyncDisposableStack,
    parts: { server: Postrider; disk: SmallDisk; receiver: Receiver; port: number },
  ) {
    this.#owned = owned
    this.server = parts.server
    this.disk = parts.disk
    this.receiver = parts.receiver
    this.#port = parts.port
  }

  static async open(mebibytes: number, inodes: number, limits: string): Promise<Full> {
    await using owned = new AsyncDisposableStack()
    const receiver = owned.use(await Receiver.start())
    const folder = mkdtempSync(join(tmpdir(), 'postrider-crowd-'))
    mkdirSync(join(folder, 'data'))
    const disk = owned.use(await SmallDisk.mount(join(folder, 'data'), mebibytes, 'tmpfs', inodes))
    const port = await freePort()
    const door = `[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n`
    const toml = `${receiver.route}${door}[limits]\n${limits}`
    const server = owned.use(await Postrider.start({ toml, folder, namespace: disk.namespace }))
    await makeAccount(server, 'acme', 'acme.example')
    const full = new Full(owned.move(), { server, disk, receiver, port })
    // What an idle program takes at its first messages is no cost of the crowd.
    await Promise.all(Array.from({ length: 20 }, () => full.send(message())))
    await waitForAll(server, full.ledger, 'delivered')
    return full
  }

  async send(content: string): Promise<ClientReply> {
    await using client = await SmtpClient.connect(this.#port)
    await client.hello()
    const reply = await client.send('ann@acme.example', 'bob@there.example', content)
    if (reply.code === 250) this.ledger.push(queuedId(reply))
    return reply
  }

  /** The crowd pushes, and an ordinary client sends one small message after the other: what it was answered. */
  async pushed(t: TestContext): Promise<string[]> {
    await using machine = await IdleDialogue.start()
    const memory = new MemoryPeak(this.server.processId)
    let isOver = false
    let slowestMs = 0
    const answers: string[] = []
    const ordinary = async (): Promise<void> => {
      while (!isOver) {
        machine.takeMs()
        const startMs = performance.now()
        answers.push((await this.send(message())).text)
        slowestMs = Math.max(slowestMs, performance.now() - startMs - 3 * machine.takeMs())
        await sleep(20)
      }
    }
    const pusher = async (): Promise<void> => {
      for (let round = 0; round < rounds; round++)
        assert.match((await this.send(large)).text, /^452 4\.3\.1 .*\[store-failed\]$/)
    }
    const pushing = Promise.all(Array.from({ length: crowd }, pusher)).finally(() => {
      isOver = true
    })
    await Promise.all([pushing, ordinary()])
    const grown = memory.growthBytes / mebibyte
    t.diagnostic(
      `${grown.toFixed(1)} MiB more, ${answers.length} ordinary answers, the slowest in ${Math.round(slowestMs)} ms`,
    )
    assert.ok(memory.growthBytes <= growthMax, `${grown} MiB more`)
    assert.ok(slowestMs <= slowestMsMax, `an ordinary client waited for ${slowestMs} ms`)
    assert.ok(answers.length >= 3, `${answers.length} answers`)
    return answers
  }

  /** With room again everything is taken, all that was accepted is delivered once, and nothing else is there. */
  async goesOn(): Promise<void> {
    this.disk.free()
    await waitForReadiness(this.server, 200)
    for (const content of [message(), large]) assert.equal((await this.send(content)).code, 250)
    const events = await waitForAll(this.server, this.ledger, 'delivered')
    const accepted = events.filter(one => one.type === 'accepted').map(one => one.messageId)
    assert.deepEqual(accepted.toSorted(), this.ledger.toSorted(), 'what was refused is not there')
    assert.equal(this.receiver.messages.length, this.ledger.length, 'each was sent once')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync()
  }
}

const needed = needsMachine(hasFaultTools, 'strace')

test(
  'a crowd at a full disk hears 452, and so does an ordinary client, at once; memory is bounded',
  needed,
  async t => {
    await using full = await Full.open(24, 0, '')
    full.disk.fill()
    // The write-ahead log may have room for some more.
    for (let i = 0; i < 5000 && (await full.send(message([], 'x'.repeat(8000)))).code === 250; i++);
    for (const answer of await full.pushed(t)) assert.match(answer, /^452 4\.3\.1 .*\[store-failed\]$/)
    assert.equal(
      (await eventsOf(full.server)).filter(one => one.type === 'accepted').length,
      full.ledger.length,
    )
    await full.goesOn()
  },
)

test(
  'a crowd at a disk without a free inode hears 452, and ordinary mail is taken and delivered; memory is bounded',
  needed,
  async t => {
    await using full = await Full.open(64, 200, 'segment_size = "64KiB"\n')
    full.disk.fillInodes()
    for (const answer of await full.pushed(t)) assert.match(answer, /^250 2\.0\.0 /)
    await waitForAll(full.server, full.ledger, 'delivered')
    await full.goesOn()
  },
)
