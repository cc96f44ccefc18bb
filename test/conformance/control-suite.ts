// What every store must do for the control plane: list, count, act, prune.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { unpackAction, unpackOutcomeFacts } from '../../src/events/index.ts'
import type { QueueAction, QueueFilter } from '../../src/queue/index.ts'
import {
  accepted,
  batch,
  newMessage,
  recipient,
  type StartStore,
  settlement,
  startMs,
  TestStore,
} from './support.ts'

async function fill(opened: TestStore): Promise<void> {
  const waiting = { startState: 'scheduled', firstAttemptAtMs: startMs + 1000 } as const
  const recipients = [recipient(0, 'a.example'), recipient(1, 'b.example')]
  await Promise.all(
    Array.from({ length: 30 }, () => accepted(opened.line, newMessage({ ...waiting, recipients }))),
  )
  await accepted(
    opened.line,
    newMessage({ ...waiting, accountKey: 2, recipients: [recipient(0, 'c.example')] }),
  )
  await accepted(opened.line, newMessage({ accountKey: 2, recipients: [recipient(0, 'c.example')] }))
}

async function actOnAll(
  opened: TestStore,
  filter: QueueFilter,
  action: QueueAction,
  limit: number,
): Promise<number> {
  let total = 0
  let cursor: string | null = ''
  while (cursor !== null) {
    const step: { done: number; cursor: string | null } = await opened.line.control.act(
      filter,
      action,
      startMs,
      limit,
      cursor,
    )
    assert.ok(step.done <= limit)
    total += step.done
    cursor = step.cursor
  }
  return total
}

/** Registers the cases under the implementation's name. */
export function controlSuite(name: string, start: StartStore): void {
  suite(`queue control, ${name}`, () => {
    test('a listing pages through every matching recipient exactly once', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const seen: string[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: Awaited<ReturnType<typeof opened.line.control.list>> = await opened.line.control.list(
          { domain: 'b.example' },
          cursor,
          7,
        )
        assert.ok(page.rows.length === 7 || page.cursor === null)
        for (const row of page.rows) seen.push(`${row.messageId.toString('hex')}.${row.recipientNumber}`)
        cursor = page.cursor
      }
      assert.equal(seen.length, 30)
      assert.equal(new Set(seen).size, 30)
    })

    test('conditions of a filter hold together, in lists, counts and messages', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const { control } = opened.line
      assert.deepEqual(await control.count({}), { scheduled: 61, leased: 1, held: 0 })
      assert.deepEqual(await control.count({ accountKey: 2 }), { scheduled: 1, leased: 1, held: 0 })
      assert.deepEqual(await control.count({ accountKey: 2, domain: 'a.example' }), {
        scheduled: 0,
        leased: 0,
        held: 0,
      })
      const leased = await control.list({ state: 'leased' }, '', 10)
      assert.deepEqual(
        leased.rows.map(row => [row.forwardPath, row.reason, row.nextAttemptAtMs]),
        [['user0@c.example', 'ready', 0]],
      )
      const messages = await control.messages({ accountKey: 2, state: 'leased' }, '', 10)
      assert.equal(messages.rows.length, 1)
      const [first] = (await control.messages({ domain: 'a.example' }, '', 1)).rows
      const ofOne = await control.list({ messageId: first!.id, recipientNumber: 1 }, '', 10)
      assert.deepEqual(
        ofOne.rows.map(row => row.recipientNumber),
        [1],
      )
    })

    test('messages are listed newest first and paged', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const keys: number[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: Awaited<ReturnType<typeof opened.line.control.messages>> =
          await opened.line.control.messages({}, cursor, 10)
        for (const row of page.rows) keys.push(row.key)
        cursor = page.cursor
      }
      assert.equal(keys.length, 32)
      assert.deepEqual(
        keys,
        keys.toSorted((a, b) => b - a),
      )
    })

    test('held recipients are not leased until they are released; both are events', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const filter = { domain: 'a.example' }
      assert.equal(await actOnAll(opened, filter, { kind: 'hold', note: 'ticket 7' }, 8), 30)
      assert.equal(await actOnAll(opened, filter, { kind: 'hold', note: 'again' }, 8), 0)
      const { rows } = await opened.line.control.list({ state: 'held' }, '', 1)
      assert.deepEqual([rows[0]?.reason, rows[0]?.note], ['held-by-operator', 'ticket 7'])
      const due = await opened.line.queue.lease({ recipientsMax: 100, nowMs: startMs + 5000 })
      assert.ok(due.every(message => message.recipients.every(one => one.domain !== 'a.example')))
      assert.equal(await actOnAll(opened, filter, { kind: 'release' }, 100), 30)
      const released = await opened.line.queue.lease({ recipientsMax: 100, nowMs: startMs })
      assert.equal(released.length, 30)
      const events = opened.line.events.ofMessage(rows[0]!.messageId, 10)
      assert.deepEqual(
        events.map(event => event.type),
        ['accepted', 'held', 'released'],
      )
      assert.deepEqual(unpackAction(events[1]!.facts), {
        forwardPath: 'user0@a.example',
        by: 'operator',
        note: 'ticket 7',
      })
    })

    test('retry makes waiting recipients due at once', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      assert.deepEqual(await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs }), [])
      assert.equal(await actOnAll(opened, { domain: 'b.example' }, { kind: 'retry' }, 11), 30)
      assert.equal((await opened.line.queue.lease({ recipientsMax: 100, nowMs: startMs })).length, 30)
    })

    test('a rerouted recipient is leased with its smarthost', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const action = { kind: 'reroute', smarthost: 'relay.example:25' } as const
      assert.equal(await actOnAll(opened, { domain: 'c.example' }, action, 10), 1)
      const [leased] = await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs })
      assert.equal(leased?.recipients[0]?.route, 'relay.example:25')
    })

    test('expired recipients are gone with a final event, and the message with its last recipient', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      const [row] = (await opened.line.control.list({ domain: 'a.example' }, '', 1)).rows
      assert.equal(await actOnAll(opened, { accountKey: 1, domain: 'a.example' }, { kind: 'expire' }, 7), 30)
      assert.equal((await opened.line.control.message(row!.messageId))?.openRecipients, 1)
      assert.equal(await actOnAll(opened, { accountKey: 1 }, { kind: 'expire' }, 7), 30)
      assert.equal(await opened.line.control.message(row!.messageId), null)
      const last = opened.line.events.ofMessage(row!.messageId, 10).at(-1)
      assert.equal(last?.type, 'expired')
      const { outcome } = unpackOutcomeFacts(last!.facts)
      assert.deepEqual([outcome.kind, outcome.source, outcome.stage], ['expired', 'local', 'queue'])
    })

    test('a recipient number that no message has matches nothing, and not the next message', async () => {
      await using opened = await TestStore.open(start)
      const first = newMessage({ startState: 'scheduled' })
      await accepted(opened.line, first)
      await accepted(opened.line, newMessage({ startState: 'scheduled', accountKey: 2 }))
      const { control } = opened.line
      const filter = { messageId: first.id, recipientNumber: 65_536 }
      assert.deepEqual((await control.list(filter, '', 10)).rows, [])
      assert.deepEqual(await control.count(filter), { scheduled: 0, leased: 0, held: 0 })
      assert.deepEqual((await control.messages(filter, '', 10)).rows, [])
      assert.equal(await actOnAll(opened, filter, { kind: 'expire' }, 10), 0)
      assert.equal((await control.count({})).scheduled, 2)
    })

    test('actions leave leased recipients alone', async () => {
      await using opened = await TestStore.open(start)
      await fill(opened)
      await opened.line.queue.lease({ recipientsMax: 100, nowMs: startMs + 5000 })
      for (const action of [
        { kind: 'hold', note: '' },
        { kind: 'retry' },
        { kind: 'expire' },
        { kind: 'reroute', smarthost: 'x:25' },
      ] as const)
        assert.equal(await actOnAll(opened, {}, action, 100), 0)
      assert.equal((await opened.line.control.count({})).leased, 62)
    })

    test('an action finds its few matches behind thousands of others', async () => {
      await using opened = await TestStore.open(start)
      const recipients = Array.from({ length: 6000 }, (_, number) => recipient(number, 'many.example'))
      await accepted(opened.line, newMessage({ startState: 'scheduled', recipients }))
      await accepted(
        opened.line,
        newMessage({ startState: 'scheduled', recipients: [recipient(0, 'few.example')] }),
      )
      const step = await opened.line.control.act(
        { domain: 'few.example' },
        { kind: 'hold', note: '' },
        startMs,
        10,
      )
      assert.equal(step.done, 1)
      assert.equal((await opened.line.control.list({ domain: 'few.example' }, '', 10)).rows.length, 1)
    })
  })

  suite(`events, ${name}`, () => {
    test('the log is read in order and in pages, each event once', async () => {
      await using opened = await TestStore.open(start)
      await Promise.all(Array.from({ length: 25 }, () => accepted(opened.line, newMessage())))
      const seqs: number[] = []
      for (;;) {
        const page = opened.line.events.list(seqs.at(-1) ?? 0, 10)
        if (page.length === 0) break
        for (const event of page) seqs.push(event.seq)
      }
      assert.equal(seqs.length, 25)
      assert.equal(opened.line.events.lastSeq(), seqs.at(-1))
      assert.ok(seqs.every((seq, i) => i === 0 || seq > seqs[i - 1]!))
    })

    test('old events are pruned, the newest never, and no number is given twice', async () => {
      await using opened = await TestStore.open(start)
      await Promise.all(Array.from({ length: 1200 }, () => accepted(opened.line, newMessage())))
      const last = opened.line.events.lastSeq()
      assert.equal(await opened.line.control.pruneEvents(startMs), 0)
      assert.equal(await opened.line.control.pruneEvents(startMs + 1), 1199)
      assert.equal(opened.line.events.lastSeq(), last)
      await opened.restart(startMs)
      await accepted(opened.line, newMessage())
      assert.equal(opened.line.events.lastSeq(), last + 1)
    })

    test('a held message is found by its id even when its events are gone', async () => {
      await using opened = await TestStore.open(start)
      const message = newMessage({ startState: 'held' })
      await accepted(opened.line, message)
      const gone = newMessage()
      const key = await accepted(opened.line, gone)
      await opened.line.queue.settle(batch({ settlements: [settlement(gone, key, 0, 1, 'delivered')] }))
      await opened.line.control.pruneEvents(startMs + 1)
      assert.deepEqual(opened.line.events.ofMessage(message.id, 10), [])
      assert.equal((await opened.line.control.message(message.id))?.openRecipients, 1)
      assert.equal(await opened.line.control.message(gone.id), null)
    })
  })
}
