// Situation: a relay thread runs into the end of its heap, since more is in its hands than the machine has memory for.
//
// The heap is capped far below what the limits of the ready queue allow, which is the operator's mistake here. The thread
// dies, and the process with it, saying so; the next one has all that was accepted.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { logged } from './support/faults.ts'
import { makeAccount, message, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const recipients = 900
/** Fills the heap sooner. */
const longDomain = `${['d', 'e', 'f'].map(letter => letter.repeat(60)).join('.')}.example`

test('out of memory the process ends and says so, and the next one has all that was accepted', async t => {
  const { promise: never } = Promise.withResolvers<string>()
  let isStuck = true
  await using receiver = await Receiver.start({ endOfData: () => (isStuck ? never : '250 2.0.0 taken') })
  const port = await freePort()
  const toml = `relay_threads = 1\n${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n[retry]\nschedule = ["1s"]\n[limits]\nready_queue_recipients = 10000000\nready_queue_size = "4GiB"\n`
  const server = await Postrider.start({ toml, env: { NODE_OPTIONS: '--max-old-space-size=26' } })
  const ledger: string[] = []
  try {
    await makeAccount(server, 'acme', 'acme.example')
    let isOver = false
    const ended = server.ended().then(code => {
      isOver = true
      return code
    })
    for (let number = 0; number < 300 && !isOver; number++) {
      const paths = Array.from({ length: recipients }, (_, at) => `${number}-${at}@${longDomain}`)
      const reply = await sendPipelined(port, paths).catch(() => null)
      if (reply?.code === 250) ledger.push(queuedId(reply))
    }
    assert.equal(await ended, 1)
  } finally {
    await server.kill()
  }
  t.diagnostic(`${ledger.length * recipients} recipients were accepted before the end`)
  assert.match(String(logged(server.output, 'server.failed')[0]?.['text']), /out of memory/)
  assert.match(server.output, /postrider: server: .*out of memory.*start it again/)
  isStuck = false
  await using again = await Postrider.start({ toml, folder: server.folder })
  const wanted = new Set(ledger)
  await waitForEvents(
    again,
    events => {
      const delivered = events.filter(one => one.type === 'delivered' && wanted.has(one.messageId!))
      return delivered.length === ledger.length * recipients
    },
    60_000,
  )
})

async function sendPipelined(port: number, paths: readonly string[]) {
  await using client = await SmtpClient.connect(port)
  await client.hello()
  client.write('MAIL FROM:<ann@acme.example>\r\n')
  client.write(paths.map(path => `RCPT TO:<${path}>\r\n`).join(''))
  for (let at = 0; at <= paths.length; at++) await client.expect(250)
  await client.command('DATA')
  client.write(`${message()}\r\n.\r\n`)
  return await client.reply()
}
