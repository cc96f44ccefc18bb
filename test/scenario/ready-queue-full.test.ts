// Situation: more mail comes in than memory may hold, since a receiver is slow.
//
// What does not fit is accepted all the same, waits on disk, says so, and is delivered when there is room.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queuedId } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

interface Row {
  readonly messageId: string
  readonly state: string
  readonly waitReasons: readonly { readonly reason: string }[]
}

test('a message without room in the ready queue is accepted, says why it waits, and is delivered later', async () => {
  const held = Promise.withResolvers<string>()
  await using receiver = await Receiver.start({ endOfData: () => held.promise })
  await using house = await House.open(
    `relay_threads = 1\n${receiver.route}[limits]\nready_queue_recipients = 1\n`,
  )
  await using client = await house.client()
  const first = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  const second = queuedId(await client.send('ann@acme.example', 'eve@there.example', message()))
  const rows = await house.server.json<readonly Row[] & Record<string, never>>('queue', 'list')
  const reasons = new Map(rows.map(row => [row.messageId, [row.state, row.waitReasons[0]?.reason]]))
  assert.deepEqual(reasons.get(first), ['leased', 'ready'])
  assert.deepEqual(reasons.get(second), ['scheduled', 'ready-queue-full'])
  held.resolve('250 2.0.0 taken')
  await waitForAll(house.server, [first, second], 'delivered')
})
