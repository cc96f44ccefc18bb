// Situation: the disk fails under the database file alone: it cannot be synced when the write-ahead log is copied into it, or
// it cannot be read.
//
// Rows of another kind than those of failing-disk.test.ts: here commits go on. Nothing may be lost and nothing false be said,
// and with a disk that is well it goes on without a restart.

import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { type ClientReply, queuedId, SmtpClient } from './support/client.ts'
import { assertIsIdle, FailingCalls, hasFaultTools, logged, waitForReadiness } from './support/faults.ts'
import { makeAccount, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const sessions = 8
/** Nearly as large as what lies in the database and not in a segment. */
const content = message([], `${'x'.repeat(70)}\r\n`.repeat(170))

/** A server whose mail waits until the receiver takes it. */
class Stage implements AsyncDisposable {
  readonly receiver: Receiver
  readonly port: number
  server: Postrider
  isOpen = false
  /** Every id that was answered 250. */
  readonly ledger: string[] = []

  private constructor(receiver: Receiver, port: number, server: Postrider) {
    this.receiver = receiver
    this.port = port
    this.server = server
  }

  static async open(): Promise<Stage> {
    const receiver = await Receiver.start({ rcpt: () => (stage.isOpen ? '250 ok' : '451 4.0.0 later') })
    const port = await freePort()
    const stage: Stage = new Stage(receiver, port, await Postrider.start({ toml: tomlOf(receiver, port) }))
    await makeAccount(stage.server, 'acme', 'acme.example')
    return stage
  }

  get toml(): string {
    return tomlOf(this.receiver, this.port)
  }

  get databasePath(): string {
    return join(this.server.dataDir, 'postrider.db')
  }

  async restart(): Promise<void> {
    this.server = await Postrider.start({ toml: this.toml, folder: this.server.folder })
  }

  /** Sends so many messages over a few sessions; gives what was not answered 250. */
  async send(count: number): Promise<ClientReply[]> {
    const refused: ClientReply[] = []
    const session = async (): Promise<void> => {
      await using client = await SmtpClient.connect(this.port)
      await client.hello()
      for (let i = 0; i < count / sessions; i++) {
        const reply = await client.send('ann@acme.example', 'bob@there.example', content)
        if (reply.code === 250) this.ledger.push(queuedId(reply))
        else refused.push(reply)
      }
    }
    await Promise.all(Array.from({ length: sessions }, session))
    return refused
  }

  /** Everything that was answered 250 arrives, and nothing else. */
  async finish(): Promise<void> {
    this.isOpen = true
    const events = await waitForAll(this.server, this.ledger, 'delivered')
    const accepted = events.filter(one => one.type === 'accepted').map(one => one.messageId)
    assert.deepEqual(accepted.toSorted(), this.ledger.toSorted())
    const body = `${content.slice(content.indexOf('\r\n\r\n'))}\r\n`
    for (const one of this.receiver.messages) assert.ok(one.content.toString('latin1').endsWith(body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await this.receiver[Symbol.asyncDispose]()
  }
}

function tomlOf(receiver: Receiver, port: number): string {
  return `relay_threads = 1\n${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n`
}

const needed = needsMachine(hasFaultTools, 'strace')

test(
  'a database file that cannot be synced: the log keeps everything, and is copied when the disk is well',
  needed,
  async () => {
    await using stage = await Stage.open()
    const logBytes = (): number => statSync(`${stage.databasePath}-wal`).size
    {
      const fault = { calls: 'fsync,fdatasync', error: 'EIO', paths: [stage.databasePath] }
      await using _fault = await FailingCalls.start(stage.server.processId, fault)
      // It is copied and begun anew at 16 MiB; without a sync of the database it must not be.
      for (let sent = 0; logBytes() < 24 * 1024 * 1024; sent += 200) {
        assert.deepEqual(await stage.send(200), [])
        assert.ok(sent < 4000, `${logBytes()} bytes of log`)
      }
      // A power cut now takes what was copied and not synced; what was acknowledged is in the log.
    }
    // It is written from its beginning again once a copying meets no reader: then it does not grow.
    for (let sent = 0, before = 0; logBytes() !== before; sent += 200) {
      before = logBytes()
      assert.deepEqual(await stage.send(200), [])
      assert.ok(sent < 4000, `${logBytes()} bytes of log`)
    }
    await stage.server.kill()
    await stage.restart()
    await stage.finish()
  },
)

test(
  'a database that cannot be read: nothing is answered 250 unread, /readyz says why, /metrics goes on, and it goes on by itself',
  needed,
  async () => {
    await using stage = await Stage.open()
    assert.deepEqual(await stage.send(40), [])
    // The writer has all of it in its memory; who asks for accounts reads again after each commit.
    const { length: logBefore } = stage.server.output
    {
      const paths = [stage.databasePath, `${stage.databasePath}-wal`]
      await using _fault = await FailingCalls.start(stage.server.processId, {
        calls: 'pread64',
        error: 'EIO',
        paths,
      })
      for (const { code, text } of await stage.send(80)) {
        assert.ok(code >= 400 && code < 500, text)
        assert.doesNotMatch(
          text,
          /postrider-|E[A-Z]{3,}|malformed/,
          'words of the system are not for clients',
        )
      }
      assert.match(await waitForReadiness(stage.server, 503), /the database cannot be read: .*check the disk/)
      const scrape = await fetch(`http://127.0.0.1:${stage.server.httpPort}/metrics`)
      const text = await scrape.text()
      assert.equal(scrape.status, 200, text)
      assert.match(text, /^postrider_memory_bytes\{kind="resident"\} \d+$/m)
      await assertIsIdle(stage.server.processId)
    }
    await waitForReadiness(stage.server, 200)
    const lines = logged(stage.server.output.slice(logBefore), 'session.fault')
    assert.ok(lines.length <= 20, `${lines.length} lines`)
    assert.deepEqual(await stage.send(8), [])
    await stage.finish()
  },
)
