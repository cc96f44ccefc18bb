// Situation: the disk of a running server refuses: full, broken or read-only, for all files or for one kind of them.
//
// One table, a fault a row; strace makes the system calls fail. Always: no message is answered 250 that is not on disk,
// none that was is lost, /readyz and the log tell the truth, and when the disk is well again it goes on without a restart.
// A failed sync of the database is another matter: nobody knows what is on the disk then, so the process ends with a
// clear last line, and a new one reads it. Where there is no strace there is nothing to fail with (support/faults.ts).

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { type ClientReply, queuedId, SmtpClient } from './support/client.ts'
import {
  assertIsIdle,
  type CallFault,
  FailingCalls,
  hasFaultTools,
  logged,
  waitForLog,
  waitForReadiness,
} from './support/faults.ts'
import {
  eventsOf,
  makeAccount,
  message,
  type ShownMessage,
  waitForAll,
  waitForEvents,
} from './support/house.ts'
import { Receiver } from './support/receiver.ts'

/** Kinds of files in the data folder. */
const files = {
  all: () => [],
  wal: (data: string) => [join(data, 'postrider.db-wal')],
  segments: (data: string) => readdirSync(join(data, 'segments')).map(name => join(data, 'segments', name)),
} as const satisfies Record<string, (data: string) => string[]>

type Answer = 'accepted' | 'refused'

interface Row extends Pick<CallFault, 'calls'> {
  readonly error: string
  readonly name: string
  readonly on: keyof typeof files
  /** Answers while it lasts: to a message in a segment, one in the database, and another in a segment. */
  readonly answers: readonly [large: Answer, small: Answer, large: Answer]
  /** What /readyz says meanwhile, when it says anything. */
  readonly notReady?: RegExp
}

const allRefused = ['refused', 'refused', 'refused'] as const

const passing: readonly Row[] = [
  {
    name: 'a full disk',
    calls: 'pwrite64,pwritev,pwritev2',
    error: 'ENOSPC',
    on: 'all',
    answers: allRefused,
    notReady: /no space left on the disk|refused a write/,
  },
  {
    name: 'a disk that refuses writes with an I/O error',
    calls: 'pwrite64,pwritev,pwritev2',
    error: 'EIO',
    on: 'all',
    answers: allRefused,
    notReady: /refused a write/,
  },
  {
    name: 'an I/O error in the write-ahead log only',
    calls: 'pwrite64',
    error: 'EIO',
    on: 'wal',
    answers: allRefused,
    notReady: /refused a write/,
  },
  {
    name: 'a disk that has become read-only',
    calls: 'pwrite64,pwritev,pwritev2,ftruncate,mkdir,unlink',
    error: 'EROFS',
    on: 'all',
    answers: allRefused,
    notReady: /refused a write|cannot be opened for writing/,
  },
  {
    // SQLite never writes vectors.
    name: 'a disk that takes no large contents',
    calls: 'pwritev,pwritev2',
    error: 'ENOSPC',
    on: 'all',
    answers: ['refused', 'accepted', 'refused'],
  },
  {
    // The next content begins a segment of its own, which is well.
    name: 'a segment file that cannot be synced',
    calls: 'fsync,fdatasync',
    error: 'EIO',
    on: 'segments',
    answers: ['refused', 'accepted', 'accepted'],
  },
]

const ending: readonly Row[] = [
  {
    name: 'a failed sync of the write-ahead log',
    calls: 'fsync,fdatasync',
    error: 'EIO',
    on: 'wal',
    answers: allRefused,
  },
]

const small = message()
const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))
/** Too large to be kept in memory until it is sent. */
const huge = message([], `${'y'.repeat(70)}\r\n`.repeat(6000))

async function sendOnce(port: number, content: string): Promise<ClientReply> {
  await using client = await SmtpClient.connect(port)
  await client.hello()
  return await client.send('ann@acme.example', 'bob@there.example', content)
}

const bodies = new Set([small, large, huge].map(one => `${one.slice(one.indexOf('\r\n\r\n') + 4)}\r\n`))

describe('with a disk that fails', needsMachine(hasFaultTools, 'strace'), () => {
  let isOpen = true
  let receiver: Receiver
  let toml: string
  let server: Postrider
  let port: number
  /** Every id that was answered 250. */
  const ledger: string[] = []
  /** Sent while the outcome of a sync was unknown: they may be there although they were refused. */
  let refusedInEnding = 0

  before(async () => {
    receiver = await Receiver.start({ rcpt: () => (isOpen ? '250 ok' : '451 4.0.0 later') })
    port = await freePort()
    toml = `relay_threads = 1\n${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n`
    server = await Postrider.start({ toml })
    await makeAccount(server, 'acme', 'acme.example')
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    await receiver?.[Symbol.asyncDispose]()
  })

  /** Sends one message on a connection of its own; no answer at all counts as refused. */
  async function send(content: string, expected: Answer): Promise<void> {
    const reply = await sendOnce(port, content).catch(() => null)
    if (reply?.code === 250) ledger.push(queuedId(reply))
    const shown = reply?.text ?? 'no answer'
    if (expected === 'accepted') assert.equal(reply?.code, 250, shown)
    else {
      assert.match(shown, /^(452 4\.3\.1 .*\[store-failed\]|no answer|4\d\d )/)
      assert.doesNotMatch(shown, /postrider-|E[A-Z]{3,}/, 'paths and words of the system are not for clients')
    }
  }

  function fail({ calls, error, on }: Row): Promise<FailingCalls> {
    const paths = files[on](server.dataDir)
    return FailingCalls.start(server.processId, { calls, error, ...(paths.length > 0 ? { paths } : {}) })
  }

  for (const row of passing)
    test(`${row.name}: nothing false is answered, and with a disk that is well it goes on by itself`, async () => {
      await send(large, 'accepted')
      const { length: logBefore } = server.output
      const output = () => server.output.slice(logBefore)
      {
        await using _fault = await fail(row)
        for (const [at, answer] of row.answers.entries()) await send(at === 1 ? small : large, answer)
        await assertIsIdle(server.processId)
        if (row.notReady !== undefined) assert.match(await waitForReadiness(server, 503), row.notReady)
      }
      await waitForReadiness(server, 200)
      await send(small, 'accepted')
      await send(large, 'accepted')
      await waitForAll(server, ledger, 'delivered')
      if (row.notReady !== undefined) await waitForLog(output, 'store.writes-again')
      assert.ok(logged(output(), 'store.failed').length <= 2, `the log is flooded:\n${output()}`)
    })

  test('three hundred refusals on a full disk are a few dozen lines of log', async () => {
    const { length: logBefore } = server.output
    {
      await using _full = await fail(passing[0]!)
      await using client = await SmtpClient.connect(port)
      await client.hello()
      for (let i = 0; i < 300; i++)
        assert.equal((await client.send('ann@acme.example', 'bob@there.example', small)).code, 452)
    }
    await waitForReadiness(server, 200)
    const lines = server.output.slice(logBefore).split('\n').length
    assert.ok(lines < 120, `${lines} lines`)
  })

  test('on a disk that takes its time messages wait for it, are accepted, and the log says so', async () => {
    const { length: logBefore } = server.output
    {
      const slow = { calls: 'fsync,fdatasync', delayMs: 1200 }
      await using _slow = await FailingCalls.start(server.processId, slow)
      await send(small, 'accepted')
    }
    await waitForLog(() => server.output.slice(logBefore), 'store.slow')
  })

  test('a disk that stands still: /readyz and the log say so, metrics are there, and it goes on by itself', async () => {
    const { length: logBefore } = server.output
    const output = () => server.output.slice(logBefore)
    {
      const still = { calls: 'fsync,fdatasync', delayMs: 25_000 }
      await using _still = await FailingCalls.start(server.processId, still)
      const sent = send(small, 'accepted')
      assert.match(await waitForReadiness(server, 503), /the store has not answered for \d+ s/)
      const askedMs = performance.now()
      const scrape = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`)
      assert.match(await scrape.text(), /^postrider_messages_accepted_total/m)
      assert.ok(performance.now() - askedMs < 5000, 'the scrape waited for the disk')
      await sent
    }
    await waitForReadiness(server, 200)
    await waitForLog(output, 'store.writes-again')
    assert.match(String(logged(output(), 'store.failed')[0]?.['why']), /has not answered/)
  })

  test('an outcome that a full disk does not take waits, and is written once when there is room', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<string>()
    await using slow = await Receiver.start({ endOfData: () => mayAnswer })
    await send(small, 'accepted')
    await waitForAll(server, ledger, 'delivered')
    isOpen = false
    await send(small, 'accepted')
    const id = ledger.at(-1)!
    await waitForAll(server, [id], 'deferred')
    await server.json('queue', 'reroute', id, '--smarthost', `127.0.0.1:${slow.port}`, '--yes')
    await slow.waitFor(() => slow.commands.includes('DATA'))
    {
      await using _full = await FailingCalls.start(server.processId, {
        calls: 'pwrite64,pwritev,pwritev2',
        error: 'ENOSPC',
      })
      answer('250 2.0.0 taken at last')
      await slow.waitFor(1)
      await send(small, 'refused')
      assert.ok((await eventsOf(server)).every(one => one.messageId !== id || one.type !== 'delivered'))
    }
    isOpen = true
    const events = await waitForAll(server, [id], 'delivered')
    assert.equal(events.filter(one => one.messageId === id && one.type === 'delivered').length, 1)
    assert.equal(slow.messages.length, 1, 'sent once')
  })

  test('a content that cannot be read waits and says so, and is sent when it can be', async () => {
    isOpen = false
    await send(huge, 'accepted')
    const id = ledger.at(-1)!
    await waitForAll(server, [id], 'deferred')
    {
      await using _unreadable = await FailingCalls.start(server.processId, {
        calls: 'pread64,preadv',
        error: 'EIO',
        paths: files.segments(server.dataDir),
      })
      isOpen = true
      await waitForEvents(server, events =>
        events.some(one => one.messageId === id && /EIO/.test(one.outcome?.text ?? '')),
      )
      const shown = await server.json<ShownMessage & Record<string, never>>('message', 'show', id)
      assert.equal(shown.recipients[0]!.outcome?.kind, 'deferred')
      assert.equal(shown.recipients[0]!.outcome?.scope, 'configuration', 'the fault is ours')
    }
    const events = await waitForAll(server, [id], 'delivered')
    const { length } = receiver.messages.filter(one => one.content.includes(id))
    assert.deepEqual([length, events.some(one => one.messageId === id && one.type === 'bounced')], [1, false])
  })

  for (const row of ending)
    test(`${row.name}: nothing is answered 250, the process ends and says why, and a new one has all that was`, async () => {
      isOpen = false
      await send(small, 'accepted')
      await send(large, 'accepted')
      {
        await using _fault = await fail(row)
        for (const content of [small, large, small]) {
          refusedInEnding++
          await send(content, 'refused')
        }
        assert.equal(await server.ended(), 1)
      }
      assert.match(server.output, /postrider: server: the disk of .* failed .*start it again/)
      assert.equal(logged(server.output, 'server.failed').length, 1)
      isOpen = true
      server = await Postrider.start({ toml, folder: server.folder })
      await waitForAll(server, ledger, 'delivered')
    })

  test('in the end every message that was answered 250 has arrived whole, and nothing that was refused but in an unknown sync', async () => {
    const events = await waitForAll(server, ledger, 'delivered')
    assert.deepEqual(await server.json<never[]>('queue', 'list'), [])
    const accepted = new Set(events.filter(one => one.type === 'accepted').map(one => one.messageId))
    for (const id of ledger) assert.ok(accepted.delete(id), `${id} was answered 250 and is not there`)
    assert.ok(accepted.size <= refusedInEnding, `${accepted.size} messages are there that were refused`)
    for (const { content } of receiver.messages) {
      const body = content.subarray(content.indexOf('\r\n\r\n') + 4).toString('latin1')
      assert.ok(bodies.has(body), `a content came altered: ${content.subarray(0, 300)}`)
    }
  })
})
