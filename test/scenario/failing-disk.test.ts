// Situation: the disk of a running server is full, or refuses to sync: strace makes its system calls fail.
//
// No message may be answered 250 meanwhile, none that was may be lost, and with room again it goes on without a restart.
// A failed sync is another matter: nobody knows what is on the disk then, so the process ends, and a new one reads it.
// Where strace is missing (it is Linux only, and `npm test` installs it as root on Debian) there is nothing to fail with.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { Postrider } from '../support/postrider.ts'
import { queuedId, type SmtpClient } from './support/client.ts'
import { eventsOf, House, message, typesOf, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

/** Makes calls of a running process fail until it is stopped. */
class Fault implements AsyncDisposable {
  readonly #strace: ChildProcess

  private constructor(strace: ChildProcess) {
    this.#strace = strace
  }

  static async start(processId: number, calls: string, error: string): Promise<Fault> {
    const inject = `inject=${calls}:error=${error}`
    const args = ['-f', '-p', String(processId), '-e', `trace=${calls}`, '-e', inject, '-o', '/dev/null']
    const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    // Read to its end: strace would die of a closed pipe, and the process that it holds with it.
    let text = ''
    await new Promise<void>(resolve =>
      strace.stderr!.on('data', chunk => {
        text += String(chunk)
        if (text.includes('attached')) resolve()
      }),
    )
    return new Fault(strace)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#strace.exitCode !== null) return
    this.#strace.kill('SIGINT')
    await once(this.#strace, 'exit')
  }
}

function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))
const send = (client: SmtpClient, content: string) =>
  client.send('ann@acme.example', 'bob@there.example', content)

if (hasStrace() || process.env['CI'] === 'true') {
  test('with a full disk messages are answered 452, outcomes wait, and with room again it goes on without a restart', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<string>()
    await using receiver = await Receiver.start({
      endOfData: ({ to }) => (to.includes('slow@there.example') ? mayAnswer : '250 2.0.0 taken'),
    })
    await using house = await House.open(receiver.route)
    await using client = await house.client()
    const slow = queuedId(await client.send('ann@acme.example', 'slow@there.example', message()))
    const ids = [slow, queuedId(await send(client, message()))]
    await waitForAll(house.server, ids.slice(1), 'delivered')
    {
      await using _full = await Fault.start(house.server.processId, 'pwrite64,pwritev,pwritev2', 'ENOSPC')
      for (const content of [message(), large])
        assert.match((await send(client, content)).text, /^452 4\.3\.1 /)
      // The receiver takes the slow one now: its outcome cannot be written yet.
      answer('250 2.0.0 taken at last')
      await receiver.waitFor(2)
      assert.match((await send(client, message())).text, /^452 4\.3\.1 /)
      assert.ok(
        (await eventsOf(house.server)).every(event => event.messageId !== slow || event.type === 'accepted'),
      )
    }
    ids.push(queuedId(await send(client, message())), queuedId(await send(client, large)))
    const events = await waitForAll(house.server, ids, 'delivered')
    assert.deepEqual(typesOf(events, slow), ['accepted', 'delivered'])
    assert.equal(receiver.messages.length, 4, 'each once')
  })

  test('after a failed sync nothing is answered 250, the process ends, and a new one has all that was', async () => {
    await using receiver = await Receiver.start({ rcpt: () => (isOpen ? '250 ok' : '451 4.0.0 later') })
    let isOpen = false
    const toml = `${receiver.route}[retry]\nschedule = ["1s"]\n`
    const house = await House.open(toml)
    await using client = await house.client()
    const ids = [queuedId(await send(client, message())), queuedId(await send(client, large))]
    {
      await using _broken = await Fault.start(house.server.processId, 'fsync,fdatasync', 'EIO')
      const reply = await send(client, message()).catch(() => null)
      assert.ok(reply === null || reply.code >= 400, reply?.text ?? '')
      assert.equal(await house.server.ended(), 1)
    }
    isOpen = true
    await using again = await Postrider.start({ toml, folder: house.server.folder })
    await waitForAll(again, ids, 'delivered')
  })
}
