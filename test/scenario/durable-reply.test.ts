// Situation: one message at a time is accepted, and the system calls of the process are watched.
//
// Between the last byte of the content and the write of "250 2.0.0 Queued" the store's write-ahead log must have been
// synced, with success; for large content its segment file as well. Where strace is missing (it is Linux only, and
// `npm test` installs it as root on Debian) there is nothing to watch with.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { queuedId, SmtpClient } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

/** A finished system call, in the order of their ends. */
interface Call {
  readonly name: string
  readonly text: string
}

/** Joins `<unfinished ...>` with `resumed>`: a call counts when it has returned. */
function readTrace(path: string): Call[] {
  const begun = new Map<string, string>()
  const calls: Call[] = []
  for (const line of readFileSync(path, 'latin1').split('\n')) {
    const [, thread, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (thread === undefined || rest === undefined) continue
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(thread, rest.slice(0, -16))
      // Bytes may be on their way from the beginning of a write on: for a reply that moment is what counts.
      if (!rest.startsWith('write(')) continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const text = resumed === null ? rest : `${begun.get(thread) ?? ''}${resumed[1]}`
    if (resumed !== null && text.startsWith('write(')) continue
    calls.push({ name: /^\w+/.exec(text)?.[0] ?? '', text })
  }
  return calls
}

const isSync = (call: Call, file: string): boolean =>
  /^f(?:data)?sync$/.test(call.name) && call.text.includes(file) && /= 0$/.test(call.text.trim())

const isWrite = (call: Call, file: string): boolean =>
  /^p?writev?(?:64)?$/.test(call.name) && call.text.includes(file)

function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

if (hasStrace() || process.env['CI'] === 'true')
  test('a successful sync of the write-ahead log comes before each accepting reply', async t => {
    await using receiver = await Receiver.start()
    const folder = mkdtempSync(join(tmpdir(), 'postrider-strace-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const trace = join(folder, 'trace')
    const ids: string[] = []
    const largeIds: string[] = []
    {
      await using house = await House.open(receiver.route, {
        relay: 'networks = ["127.0.0.0/8"]\naccount = "acme"',
        wrapper: [
          'strace',
          '-D',
          '-f',
          '-y',
          '-s',
          '100',
          '-e',
          'trace=fsync,fdatasync,write,writev,pwrite64,pwritev',
          '-o',
          trace,
        ],
      })
      await using client = await SmtpClient.connect(house.ports.relay)
      await client.hello()
      const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))
      for (let round = 0; round < 6; round++) {
        const isLarge = round % 2 === 1
        const id = queuedId(
          await client.send('ann@acme.example', 'bob@there.example', isLarge ? large : message()),
        )
        ids.push(id)
        if (isLarge) largeIds.push(id)
        // Its outcome is committed before the next message comes: no sync can be mistaken for another one's.
        await waitForAll(house.server, [id], 'delivered')
      }
      assert.equal(await house.server.stop(), 0)
    }
    const calls = readTrace(trace)
    for (const id of ids) {
      const reply = calls.findIndex(({ name, text }) => name === 'write' && text.includes(`Queued as ${id}`))
      assert.ok(reply >= 0, `the reply for ${id} is in the trace`)
      const goAhead = calls.slice(0, reply).findLastIndex(({ text }) => text.includes('"354 '))
      assert.ok(goAhead >= 0)
      const between = calls.slice(goAhead, reply)
      const synced = between.findLastIndex(call => isSync(call, 'postrider.db-wal'))
      const written = between.findLastIndex(call => isWrite(call, 'postrider.db-wal'))
      assert.ok(written >= 0, `${id} was written to the log between 354 and 250`)
      assert.ok(synced > written, `${id}: the log was synced after its last write and before 250`)
      if (!largeIds.includes(id)) continue
      const segment = between.findLastIndex(call => isSync(call, '/segments/'))
      assert.ok(segment > between.findLastIndex(call => isWrite(call, '/segments/')), `${id}: segment synced`)
      assert.ok(segment < synced, `${id}: its segment was synced before the log`)
    }
  })
