// What every store must do for the queue: accept, settle, lease, recover. Run once for each implementation.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { unpackAccepted, unpackOutcome, unpackOutcomeFacts } from '../../src/events/index.ts'
import type { LeasedMessage } from '../../src/queue/index.ts'
import type { ThreadStore } from '../../src/store/index.ts'
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

const leaseAll = (store: ThreadStore, nowMs: number = startMs): Promise<LeasedMessage[]> =>
  store.queue.lease({ recipientsMax: 1000, nowMs })

/** Registers the cases under the implementation's name. */
export function queueSuite(name: string, start: StartStore): void {
  suite(`queue, ${name}`, () => {
    test('an accepted message comes back from a lease with everything that went in', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage({
        startState: 'scheduled',
        recipients: [recipient(0), recipient(1, 'example.org')],
        isSmtpUtf8: true,
        isUnsigned: true,
        reversePath: 'sendér@example.com',
        priority: 2,
      })
      const key = await accepted(store, message)
      const [leased, ...others] = await leaseAll(store)
      assert.equal(others.length, 0)
      const { startState, firstAttemptAtMs, acceptedFacts, content, recipients, ...envelope } = message
      assert.equal(startState, 'scheduled')
      assert.ok(firstAttemptAtMs > 0 && acceptedFacts.length > 0)
      assert.deepEqual(leased, {
        ...envelope,
        // Read when it is needed.
        prefix: null,
        key,
        recipientCount: 2,
        content: { kind: 'inline', sizeBytes: content.sizeBytes },
        recipients: recipients.map(one => ({
          ...one,
          attempts: 0,
          route: '',
          isDelayNotified: false,
          isUncertain: false,
        })),
      })
      assert.deepEqual(store.queue.readPrefix(key), envelope.prefix)
      assert.equal(store.queue.readPrefix(key + 1), null)
      const bytes = await store.queue.readContent(key, leased!.content)
      assert.equal(bytes?.toString(), 'Subject: hello\r\n\r\nbody\r\n')
    })

    test('a message accepted as leased is in nobody else’s lease', async () => {
      await using opened = await TestStore.open(start)
      await accepted(opened.line, newMessage())
      assert.deepEqual(await leaseAll(opened.line, startMs + 1e9), [])
    })

    test('a recipient is leased once, whoever asks', async () => {
      await using opened = await TestStore.open(start)
      await using other = opened.another(1)
      for (let i = 0; i < 50; i++) await accepted(opened.line, newMessage({ startState: 'scheduled' }))
      const answers = await Promise.all(
        [opened.line, other, opened.line, other].map(line =>
          line.queue.lease({ recipientsMax: 20, nowMs: startMs }),
        ),
      )
      const keys = answers.flat().map(message => message.key)
      assert.equal(keys.length, 50)
      assert.equal(new Set(keys).size, 50)
    })

    test('messages of one turn are stored in the order in which they were accepted', async () => {
      await using opened = await TestStore.open(start)
      const keys = await Promise.all(
        Array.from({ length: 300 }, () => accepted(opened.line, newMessage({ startState: 'scheduled' }))),
      )
      assert.deepEqual(
        keys,
        keys.toSorted((a, b) => a - b),
      )
    })

    test('a delivered message leaves nothing behind but its events', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage()
      const key = await accepted(store, message)
      await store.queue.settle(batch({ settlements: [settlement(message, key, 0, 1, 'delivered')] }))
      assert.equal(await store.control.message(message.id), null)
      assert.deepEqual(await store.control.count({}), { scheduled: 0, leased: 0, held: 0 })
      assert.equal(await store.queue.readContent(key, { kind: 'inline', sizeBytes: 24 }), null)
      const events = store.events.ofMessage(message.id, 10)
      assert.deepEqual(
        events.map(event => [event.type, event.recipientNumber]),
        [
          ['accepted', -1],
          ['delivered', 0],
        ],
      )
      assert.equal(unpackAccepted(events[0]!.facts).headerMessageId, '<1@example.com>')
      assert.equal(unpackOutcomeFacts(events[1]!.facts).outcome.text, 'delivered it is')
    })

    test('the content stays until the last of several recipients is final', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage({ recipients: [0, 1, 2].map(number => recipient(number)) })
      const key = await accepted(store, message)
      await store.queue.settle(
        batch({
          settlements: [
            settlement(message, key, 0, 3, 'delivered'),
            settlement(message, key, 2, 3, 'bounced'),
          ],
        }),
      )
      assert.equal((await store.control.message(message.id))?.openRecipients, 1)
      assert.notEqual(await store.queue.readContent(key, { kind: 'inline', sizeBytes: 24 }), null)
      await store.queue.settle(batch({ settlements: [settlement(message, key, 1, 3, 'expired')] }))
      assert.equal(await store.control.message(message.id), null)
      assert.equal(await store.queue.readContent(key, { kind: 'inline', sizeBytes: 24 }), null)
    })

    test('a deferred recipient is due again at its time, with its attempts and last outcome', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage()
      const key = await accepted(store, message)
      const deferred = settlement(message, key, 0, 1, 'deferred', { attempts: 3, isDelayNotified: true })
      await store.queue.settle(batch({ settlements: [deferred] }))
      const { rows } = await store.control.list({}, '', 10)
      assert.equal(rows[0]?.state, 'scheduled')
      assert.equal(rows[0]?.reason, 'next-attempt')
      assert.equal(rows[0]?.nextAttemptAtMs, startMs + 60_000)
      assert.equal(unpackOutcome(rows[0]!.lastOutcome!).code, 451)
      assert.deepEqual(await leaseAll(store, startMs + 59_999), [])
      const [again] = await leaseAll(store, startMs + 60_000)
      assert.equal(again?.recipients[0]?.attempts, 3)
      assert.equal(again?.recipients[0]?.isDelayNotified, true)
    })

    test('a recipient says why it waits as the one says who made it wait, and "ready" while it is leased', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const reasons = async (): Promise<unknown[]> =>
        (await store.control.list({}, '', 10)).rows.map(row => row.reason)
      const message = newMessage({
        startState: 'scheduled',
        startReason: 'ready-queue-full',
        recipients: [recipient(0), recipient(1)],
      })
      const key = await accepted(store, message)
      assert.deepEqual(await reasons(), ['ready-queue-full', 'ready-queue-full'])
      await leaseAll(store)
      assert.deepEqual(await reasons(), ['ready', 'ready'])
      await store.queue.settle(
        batch({
          settlements: [
            settlement(message, key, 0, 2, 'deferred', { reason: 'site-unreachable' }),
            settlement(message, key, 1, 2, 'deferred'),
          ],
        }),
      )
      assert.deepEqual(await reasons(), ['site-unreachable', 'next-attempt'])
    })

    test('a recipient given back is due again without an attempt', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const key = await accepted(store, newMessage())
      const back = {
        messageKey: key,
        recipientNumber: 0,
        nextAttemptAtMs: startMs + 5,
        reason: 'ready-queue-full',
      } as const
      await store.queue.settle(batch({ giveBacks: [back] }))
      const { rows } = await store.control.list({}, '', 10)
      assert.equal(rows[0]?.reason, 'ready-queue-full')
      const [again] = await leaseAll(store, startMs + 5)
      assert.equal(again?.recipients[0]?.attempts, 0)
    })

    test('a second settlement of the same recipient changes nothing and writes no event', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage({ recipients: [recipient(0), recipient(1)] })
      const key = await accepted(store, message)
      const twice = batch({ settlements: [settlement(message, key, 0, 2, 'delivered')] })
      await store.queue.settle(twice)
      await store.queue.settle(twice)
      const types = store.events.ofMessage(message.id, 10).map(event => event.type)
      assert.deepEqual(types, ['accepted', 'delivered'])
      assert.equal((await store.control.message(message.id))?.openRecipients, 1)
    })

    test('a DSN made by a settlement is stored in the same commit and is due at once', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage()
      const key = await accepted(store, message)
      const dsn = newMessage({ reversePath: '', sentReversePath: '', startState: 'scheduled' })
      await store.queue.settle(
        batch({ settlements: [settlement(message, key, 0, 1, 'bounced')], messages: [dsn] }),
      )
      const [leased] = await leaseAll(store)
      assert.deepEqual(leased?.id, dsn.id)
      assert.equal(leased?.reversePath, '')
    })

    test('a settlement’s further events are written with it', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const rejected = {
        type: 'rejected',
        atMs: startMs,
        accountKey: 7,
        streamKey: 0,
        messageId: null,
        recipientNumber: -1,
        facts: Buffer.from('facts'),
      } as const
      await store.queue.settle(batch({ events: [rejected] }))
      const [event] = store.events.list(0, 10)
      assert.deepEqual(event, { ...rejected, seq: event?.seq, node: 1 })
    })

    test('a lease is shared evenly between accounts, however much one of them has waiting', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const of = (accountKey: number, count: number): Promise<unknown>[] =>
        Array.from({ length: count }, () =>
          accepted(store, newMessage({ accountKey, startState: 'scheduled' })),
        )
      await Promise.all([...of(1, 300), ...of(2, 5), ...of(3, 300)])
      const leased = await store.queue.lease({ recipientsMax: 105, nowMs: startMs })
      const counts = [1, 2, 3].map(account => leased.filter(one => one.accountKey === account).length)
      assert.equal(counts[1], 5)
      assert.ok(Math.abs(counts[0]! - counts[2]!) <= 30, counts.join())
      assert.equal(leased.length, 105)
    })

    test('an account gets nothing only when there are more accounts than room', async () => {
      await using opened = await TestStore.open(start)
      for (const [accountKey, count] of [
        [1, 2],
        [2, 2],
        [3, 1],
      ] as const)
        for (let i = 0; i < count; i++)
          await accepted(opened.line, newMessage({ accountKey, startState: 'scheduled' }))
      const leased = await opened.line.queue.lease({ recipientsMax: 4, nowMs: startMs })
      assert.deepEqual(leased.map(one => one.accountKey).sort(), [1, 1, 2, 3])
    })

    test('no account gets more of a lease than its share, and the others get what it leaves', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      for (const accountKey of [1, 2, 3])
        for (let i = 0; i < 20; i++)
          await accepted(store, newMessage({ accountKey, startState: 'scheduled' }))
      const shares = {
        each: 15,
        less: new Map([
          [1, 0],
          [2, 3],
        ]),
      }
      const leased = await store.queue.lease({ recipientsMax: 40, nowMs: startMs, shares })
      const counts = [1, 2, 3].map(account => leased.filter(one => one.accountKey === account).length)
      assert.deepEqual(counts, [0, 3, 15])
      const rest = await store.queue.lease({ recipientsMax: 100, nowMs: startMs })
      assert.equal(rest.length, 42, 'what was left is still due')
    })

    test('accounts take turns when a lease has room for one only', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      for (const accountKey of [1, 1, 2, 2, 3, 3])
        await accepted(store, newMessage({ accountKey, startState: 'scheduled' }))
      const served: number[] = []
      for (let i = 0; i < 6; i++) {
        const [one] = await store.queue.lease({ recipientsMax: 1, nowMs: startMs })
        served.push(one!.accountKey)
      }
      assert.deepEqual(served.slice(0, 3).toSorted(), [1, 2, 3])
      assert.deepEqual(served.slice(3).toSorted(), [1, 2, 3])
    })

    test('within an account the more urgent lane goes first, then the one due earlier', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const at = (priority: number, firstAttemptAtMs: number): Promise<number> =>
        accepted(store, newMessage({ priority, firstAttemptAtMs, startState: 'scheduled' }))
      const late = await at(5, startMs - 1)
      const early = await at(5, startMs - 1000)
      const urgent = await at(0, startMs)
      await at(0, startMs + 1)
      const order: number[] = []
      for (let i = 0; i < 4; i++)
        for (const one of await store.queue.lease({ recipientsMax: 1, nowMs: startMs })) order.push(one.key)
      assert.deepEqual(order, [urgent, early, late])
    })

    test('after a restart everything leased is due at once and nothing is lost', async () => {
      await using opened = await TestStore.open(start)
      const fresh = newMessage()
      const tried = newMessage()
      await accepted(opened.line, fresh)
      const key = await accepted(opened.line, tried)
      await opened.line.queue.settle(batch({ settlements: [settlement(tried, key, 0, 1, 'deferred')] }))
      await leaseAll(opened.line, startMs + 60_000)
      await opened.restart(startMs + 61_000)
      const { rows } = await opened.line.control.list({}, '', 10)
      assert.deepEqual(
        rows.map(row => [row.state, row.reason, row.nextAttemptAtMs]),
        [
          ['scheduled', 'first-attempt', startMs + 61_000],
          ['scheduled', 'next-attempt', startMs + 61_000],
        ],
      )
      assert.equal((await leaseAll(opened.line, startMs + 61_000)).length, 2)
    })

    test('a recipient whose end of data was sent before a crash comes back as uncertain, no other does', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const message = newMessage({ recipients: [0, 1].map(number => recipient(number)) })
      const settled = newMessage()
      await accepted(store, message)
      const settledKey = await accepted(store, settled)
      store.marks.mark(message.id, [1])
      const token = store.marks.mark(settled.id, [0])
      store.marks.write()
      await store.queue.settle(batch({ settlements: [settlement(settled, settledKey, 0, 1, 'deferred')] }))
      store.marks.clear(token, false)
      await opened.restart(startMs)
      const leased = await leaseAll(opened.line, startMs + 60_000)
      assert.deepEqual(
        leased.map(one => one.recipients.map(each => each.isUncertain)),
        [[false, true], [false]],
      )
    })

    test('one message that cannot be stored does not fail the others of its group', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const results = await Promise.all([
        store.queue.accept(newMessage()),
        store.queue.accept(newMessage({ recipients: [] })),
        store.queue.accept(newMessage()),
      ])
      assert.deepEqual(
        results.map(result => result.kind),
        ['stored', 'failed', 'stored'],
      )
      assert.equal((await store.control.count({})).leased, 2)
    })

    test('requests of a closed store fail instead of hanging', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      await opened.stop()
      await assert.rejects(store.queue.settle(batch({})))
    })
  })
}
