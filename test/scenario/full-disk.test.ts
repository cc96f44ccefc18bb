// Situation: the disk of the data folder is really full, to the last byte, with the log file on it, or to the
// last inode; later there is room.
//
// The disk is a small file system in memory, in a mount namespace of its own. Where there are no tools for that, there is
// nothing to fill (support/faults.ts).

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { assertIsIdle, hasFaultTools, logged, waitForLog, waitForReadiness } from './support/faults.ts'
import { makeAccount, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'
import { SmallDisk } from './support/small-disk.ts'

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))

test(
  'a full disk: 452 and not ready; with room again it goes on; what was accepted is all there after a start on a full disk too',
  needsMachine(hasFaultTools, 'strace'),
  async () => {
    let isOpen = true
    let mayAnswer: PromiseWithResolvers<string> | null = null
    await using receiver = await Receiver.start({
      rcpt: () => (isOpen ? '250 ok' : '451 4.0.0 later'),
      endOfData: () => mayAnswer?.promise ?? '250 2.0.0 taken',
    })
    const folder = mkdtempSync(join(tmpdir(), 'postrider-full-'))
    mkdirSync(join(folder, 'data'))
    await using disk = await SmallDisk.mount(join(folder, 'data'), 24)
    const { namespace } = disk
    const port = await freePort()
    const toml = `${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n`
    const logFile = join(folder, 'data/server.log')
    const wrapper = ['sh', '-c', `exec "$0" "$@" >>"${logFile}" 2>&1`]
    const output = () => readFileSync(`${namespace.root}${logFile}`, 'utf8')
    const ledger: string[] = []
    const send = async (content: string) => {
      await using client = await SmtpClient.connect(port)
      await client.hello()
      const reply = await client.send('ann@acme.example', 'bob@there.example', content)
      if (reply.code === 250) ledger.push(queuedId(reply))
      return reply
    }
    {
      const server = await Postrider.start({ toml, folder, namespace, wrapper })
      try {
        await makeAccount(server, 'acme', 'acme.example')
        for (const content of [message(), large]) assert.equal((await send(content)).code, 250)
        await waitForAll(server, ledger, 'delivered')
        isOpen = false
        disk.fill()
        // The write-ahead log may have room for some more; then it has not.
        let reply = await send(message())
        for (let i = 0; i < 5000 && reply.code === 250; i++) reply = await send(message([], 'x'.repeat(8000)))
        assert.match(reply.text, /^452 4\.3\.1 .*\[store-failed\]/)
        assert.match((await send(large)).text, /^452 4\.3\.1 .*\[store-failed\]/)
        assert.match(await waitForReadiness(server, 503), /no space left on the disk/)
        await assertIsIdle(server.processId)
        isOpen = true
        disk.free()
        await waitForReadiness(server, 200)
        for (const content of [message(), large]) assert.equal((await send(content)).code, 250)
        await waitForAll(server, ledger, 'delivered')
        assert.equal((await waitForLog(output, 'store.writes-again')).length > 0, true)
        assert.match(String(logged(output(), 'store.failed')[0]?.['why']), /no space left on the disk/)
        // One in flight, so that the next start has something to write.
        mayAnswer = Promise.withResolvers<string>()
        assert.equal((await send(large)).code, 250)
        await receiver.waitFor(
          () => receiver.commands.filter(line => line === 'DATA').length >= ledger.length,
        )
        disk.fill()
      } finally {
        await server.kill()
      }
    }
    mayAnswer?.resolve('250 2.0.0 taken, but nobody hears it')
    const onFullDisk = await Postrider.launch({ toml, folder, namespace })
    assert.equal(await onFullDisk.ended(), 1)
    assert.match(onFullDisk.output, /postrider: .*no space left on the disk of .*: free some space/)
    disk.free()
    await using server = await Postrider.start({ toml, folder, namespace })
    const events = await waitForAll(server, ledger, 'delivered')
    const accepted = events.filter(one => one.type === 'accepted').map(one => one.messageId)
    assert.deepEqual(accepted.toSorted(), ledger.toSorted(), 'what was refused is not there')
  },
)

test(
  'a disk without a free inode: what needs a new file is answered 452 and the rest is taken; with inodes again all is',
  needsMachine(hasFaultTools, 'strace'),
  async () => {
    await using receiver = await Receiver.start()
    const folder = mkdtempSync(join(tmpdir(), 'postrider-inodes-'))
    mkdirSync(join(folder, 'data'))
    await using disk = await SmallDisk.mount(join(folder, 'data'), 64, 'tmpfs', 200)
    const port = await freePort()
    // Small segments: each large content begins a new one.
    const toml = `${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[limits]\nsegment_size = "64KiB"\n`
    await using server = await Postrider.start({ toml, folder, namespace: disk.namespace })
    await makeAccount(server, 'acme', 'acme.example')
    await using client = await SmtpClient.connect(port)
    await client.hello()
    const ledger: string[] = []
    const send = async (content: string) => {
      const reply = await client.send('ann@acme.example', 'bob@there.example', content)
      if (reply.code === 250) ledger.push(queuedId(reply))
      return reply
    }
    // Nothing large before: a segment that leaves the disk would give an inode back.
    assert.equal((await send(message())).code, 250)
    await waitForAll(server, ledger, 'delivered')
    disk.fillInodes()
    for (let i = 0; i < 3; i++) assert.match((await send(large)).text, /^452 4\.3\.1 .*\[store-failed\]/)
    assert.equal((await send(message())).code, 250)
    await waitForAll(server, ledger, 'delivered')
    await assertIsIdle(server.processId)
    disk.free()
    for (const content of [large, message(), large]) assert.equal((await send(content)).code, 250)
    const events = await waitForAll(server, ledger, 'delivered')
    const accepted = events.filter(one => one.type === 'accepted').map(one => one.messageId)
    assert.deepEqual(accepted.toSorted(), ledger.toSorted(), 'what was refused is not there')
    assert.equal(receiver.messages.length, ledger.length, 'each was sent once')
  },
)
