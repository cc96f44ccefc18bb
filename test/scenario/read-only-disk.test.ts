// Situation: the disk has an error, and the kernel makes its file system read-only under the running server.
//
// A real ext4, aborted as the kernel does it (`errors=remount-ro`). Nobody can write to what was open before, even after
// a remount: the operator stops the server, checks the file system, mounts it again and starts. Needs loop devices.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { assertIsIdle, hasFaultTools, logged, waitForReadiness } from './support/faults.ts'
import { makeAccount, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'
import { SmallDisk } from './support/small-disk.ts'

const large = message([], `${'x'.repeat(70)}\r\n`.repeat(2000))

test(
  'when the file system becomes read-only nothing is answered 250; after a check and a start all that was is there',
  needsMachine(hasFaultTools && SmallDisk.canLoop(), 'loop devices or no root'),
  async () => {
    let isOpen = false
    await using receiver = await Receiver.start({ rcpt: () => (isOpen ? '250 ok' : '451 4.0.0 later') })
    const folder = mkdtempSync(join(tmpdir(), 'postrider-read-only-'))
    mkdirSync(join(folder, 'data'))
    await using disk = await SmallDisk.mount(join(folder, 'data'), 64, 'ext4')
    const { namespace } = disk
    const port = await freePort()
    const toml = `${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n`
    const ledger: string[] = []
    const send = async (content: string) => {
      await using client = await SmtpClient.connect(port)
      await client.hello()
      const reply = await client.send('ann@acme.example', 'bob@there.example', content)
      if (reply.code === 250) ledger.push(queuedId(reply))
      return reply
    }
    {
      const server = await Postrider.start({ toml, folder, namespace })
      try {
        await makeAccount(server, 'acme', 'acme.example')
        for (const content of [message(), large]) assert.equal((await send(content)).code, 250)
        await waitForAll(server, ledger, 'deferred')
        disk.fail()
        const replies = await Promise.all(
          [message(), large, message()].map(one => send(one).catch(() => null)),
        )
        for (const reply of replies) assert.ok(reply === null || reply.code >= 400, reply?.text ?? '')
        const end = await Promise.race([server.ended(), waitForReadiness(server, 503)])
        // Refused while it was written, it lives on; refused while it was synced, nobody knows what is there.
        if (end === 1) assert.match(server.output, /postrider: server: .*start it again/)
        else {
          assert.match(String(end), /takes no writes/)
          await assertIsIdle(server.processId)
          assert.ok(logged(server.output, 'store.failed').length <= 3)
        }
      } finally {
        await server.kill()
      }
    }
    const onReadOnly = await Postrider.launch({ toml, folder, namespace })
    assert.equal(await onReadOnly.ended(), 1)
    assert.match(onReadOnly.output, /postrider: .*data/)
    disk.mend()
    isOpen = true
    await using server = await Postrider.start({ toml, folder, namespace })
    const events = await waitForAll(server, ledger, 'delivered')
    const accepted = new Set(events.filter(one => one.type === 'accepted').map(one => one.messageId))
    for (const id of ledger) assert.ok(accepted.has(id), `${id} was answered 250 and is not there`)
  },
)
