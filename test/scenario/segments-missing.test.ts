// Situation: the disk of the large contents is not mounted where the segments should be, at a start or while the server runs.
//
// A start is refused with what is missing. A server that runs defers what it cannot read. No message bounces by it, and when
// the disk is back everything is sent.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Postrider, postriderCommand } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { House, message, type ShownMessage, waitForAll, waitForEvents } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let isTaking = false
let receiver: Receiver
const folder = mkdtempSync(join(tmpdir(), 'postrider-segments-'))
const segments = join(folder, 'data', 'segments')
const away = join(folder, 'away')
let toml: string
let large: string

before(async () => {
  receiver = await Receiver.start({ rcpt: () => (isTaking ? '250 2.1.5 ok' : '451 4.0.0 later') })
  toml = `${receiver.route}[retry]\nschedule = ["1h"]\n`
  const house = await House.open(toml, { folder })
  await using client = await house.client()
  const body = `${'y'.repeat(70)}\r\n`.repeat(3000)
  large = queuedId(await client.send('ann@acme.example', 'bob@there.example', message([], body)))
  await waitForAll(house.server, [large], 'deferred')
  assert.equal(await house.server.stop(), 0)
})
after(async () => {
  await receiver[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** As when a disk is unmounted: the folder that it was mounted on is empty. */
function takeAway(): void {
  renameSync(segments, away)
  mkdirSync(segments)
}

function putBack(): void {
  rmSync(segments, { recursive: true })
  renameSync(away, segments)
}

test('a start without them is refused in one sentence, which says what is missing and what to do', async () => {
  const names = readdirSync(segments).filter(name => name.endsWith('.seg'))
  takeAway()
  const { code, stderr } = await postriderCommand(
    ['serve', '--config', join(folder, 'postrider.toml')],
    folder,
  )
  assert.equal(code, 1)
  assert.match(stderr, /^postrider: [^\n]* 1 segment file [^\n]*is the disk mounted[^\n]*given-up[^\n]*\n$/)
  assert.ok(stderr.includes(names[0]!), stderr)
  putBack()
})

test('while it runs their messages are deferred, and sent when they are back', async () => {
  const server = await Postrider.start({ toml, folder })
  try {
    takeAway()
    await server.json('queue', 'retry', '--all', '--yes')
    await waitForEvents(
      server,
      events =>
        events.filter(({ type, messageId }) => type === 'deferred' && messageId === large).length === 2,
    )
    const shown = await server.json<ShownMessage & Record<string, never>>('message', 'show', large)
    const [recipient] = shown.recipients
    assert.equal(recipient!.state, 'scheduled')
    assert.deepEqual([recipient!.outcome!.code, recipient!.outcome!.scope], [451, 'configuration'])
    assert.match(recipient!.outcome!.text, /the content of the message is not in the store/)
    putBack()
    isTaking = true
    await server.json('queue', 'retry', '--all', '--yes')
    await waitForAll(server, [large], 'delivered')
    assert.ok(receiver.messages.some(({ content }) => content.length > 210_000))
  } finally {
    await server.stop()
  }
})
