// Would the simulation notice? A store that breaks one rule is put under it; each must be found, and named.
//
// Without this a simulation that holds would say nothing: its rules could have stopped looking.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OutcomeFacts, packOutcomeFacts, unpackOutcomeFacts } from '../../src/events/index.ts'
import type { LeasedMessage, QueueStore, Settlement } from '../../src/queue/index.ts'
import { Random } from '../support/random.ts'
import type { Entry } from './entry.ts'
import { Fairness } from './fairness.ts'
import { againWords, readArguments } from './options.ts'
import type { Sabotage } from './relay-process.ts'
import { simulate } from './simulation.ts'
import { VirtualTime } from './virtual-time.ts'
import { World } from './world.ts'

/** The store with some of its answers changed. */
function changed(queue: QueueStore, change: Partial<QueueStore>): QueueStore {
  return {
    accept: message => queue.accept(message),
    settle: batch => queue.settle(batch),
    lease: request => queue.lease(request),
    readPrefix: key => queue.readPrefix(key),
    readContent: (key, content) => queue.readContent(key, content),
    openContent: (key, content) => queue.openContent(key, content),
    ...change,
  }
}

/** Settlements are changed on their way; null: that one is forgotten. */
const settling = (change: (one: Settlement, facts: OutcomeFacts) => Settlement | null): Sabotage => ({
  queue: queue =>
    changed(queue, {
      settle: batch => {
        const settlements = batch.settlements.flatMap(one => change(one, unpackOutcomeFacts(one.facts)) ?? [])
        return queue.settle({ ...batch, settlements })
      },
    }),
})

const answering = (change: (queue: QueueStore) => Partial<QueueStore>): Sabotage => ({
  queue: queue => changed(queue, change(queue)),
})

/** The outcome of an event becomes another one. */
const told = (
  one: Settlement,
  facts: OutcomeFacts,
  change: Partial<OutcomeFacts['outcome']>,
): Settlement => ({
  ...one,
  facts: packOutcomeFacts({ ...facts, outcome: { ...facts.outcome, ...change } }),
})

const isDeferral = ({ eventType }: Settlement): boolean => eventType === 'deferred'

/** What is broken, how, and what the simulation must say. */
const rows: readonly [
  string,
  Sabotage,
  RegExp,
  settings?: { readonly seed?: number; readonly rate?: number },
][] = [
  [
    'a message that is acknowledged and not kept',
    answering(() => ({ accept: async () => ({ kind: 'stored', key: 1 }) })),
    /an acknowledged message has no accepted event/,
  ],
  [
    'an outcome that is never written, so that its recipient is forgotten',
    settling(one => (isDeferral(one) ? null : one)),
    /has been due or in hand for \d+ s/,
  ],
  [
    'a recipient that is leased twice',
    answering(queue => {
      let before: readonly LeasedMessage[] = []
      return {
        lease: async request => {
          const leased = await queue.lease(request)
          const again = [...before, ...leased]
          before = leased
          return again
        },
      }
    }),
    /was leased by \d while \d has it|leased that is final/,
  ],
  [
    'a lease before its time',
    answering(queue => ({ lease: request => queue.lease({ ...request, nowMs: request.nowMs + 300_000 }) })),
    /was leased before its time/,
  ],
  [
    'a retry outside of its interval',
    settling((one, facts) => {
      if (!isDeferral(one)) return one
      const nextAttemptAtMs = one.atMs + Math.round((one.nextAttemptAtMs - one.atMs) * 0.8)
      return { ...one, nextAttemptAtMs, facts: packOutcomeFacts({ ...facts, nextAttemptAtMs }) }
    }),
    /attempt \d+ is planned \d+ ms ahead, the interval is/,
  ],
  [
    'a row that says another wait reason than the true one',
    settling(one => (isDeferral(one) ? { ...one, reason: 'first-attempt' } : one)),
    /the row of .* says "scheduled \d first-attempt/,
  ],
  [
    'a delivery that no peer knows of',
    settling((one, facts) =>
      isDeferral(one) ? { ...told(one, facts, { kind: 'delivered' }), eventType: 'delivered' } : one,
    ),
    /counts as delivered, and no peer took it/,
  ],
  [
    'a repeated delivery that nobody was told of',
    settling((one, facts) => told(one, facts, { isUncertain: false })),
    /was taken \d times and ends as (delivered|expired), and no outcome says/,
    { seed: 33 },
  ],
  [
    'mail that is given up before its expiry',
    settling((one, facts) =>
      isDeferral(one) ? { ...told(one, facts, { kind: 'expired' }), eventType: 'expired' } : one,
    ),
    /expired \d+ ms early/,
  ],
  [
    'mail that bounces although nobody has refused it for good',
    settling((one, facts) =>
      isDeferral(one) ? { ...told(one, facts, { kind: 'bounced' }), eventType: 'bounced' } : one,
    ),
    /bounced, and nobody refused it for good/,
  ],
  [
    'mail that is refused for good and tried again',
    settling((one, facts) => {
      if (one.eventType !== 'bounced') return one
      const nextAttemptAtMs = one.atMs + 60_000
      return {
        ...told(one, { ...facts, nextAttemptAtMs }, { kind: 'deferred' }),
        eventType: 'deferred',
        nextAttemptAtMs,
      }
    }),
    /was refused for good and is deferred/,
  ],
  [
    'reports that are forgotten',
    answering(queue => ({ settle: batch => queue.settle({ ...batch, messages: [] }) })),
    /an outcome has no report: (failed|delayed) /,
  ],
  [
    'a delay notice at each deferral',
    answering(queue => ({
      lease: async request =>
        (await queue.lease(request)).map(message => ({
          ...message,
          recipients: message.recipients.map(one => ({ ...one, isDelayNotified: false })),
        })),
    })),
    /a report says what is not so: delayed /,
  ],
  [
    'a report on mail that has not failed',
    settling((one, facts) => (one.eventType === 'bounced' && facts.outcome.source === 'reply' ? null : one)),
    /a report says what is not so: failed /,
  ],
  [
    'a lease that rests for hours',
    answering(queue => ({
      lease: async request =>
        Math.floor(request.nowMs / 7_200_000) % 2 === 0 ? [] : await queue.lease(request),
    })),
    /has been due or in hand for \d+ s/,
  ],
  [
    'a ready queue that knows neither lanes nor accounts: who comes first is served first',
    { ready: message => ({ ...message, accountKey: 1, streamKey: 1, priority: 5 }) },
    /of account [234], priority \d, has waited \d+ s for its first attempt/,
    { rate: 1 },
  ],
]

for (const [name, sabotage, says, settings] of rows)
  test(`the simulation finds ${name}`, async t => {
    const startedMs = performance.now()
    await assert.rejects(simulate({ seed: 3, hours: 48, rate: 0.5, ...settings, sabotage }), says)
    t.diagnostic(`${Math.round(performance.now() - startedMs)} ms`)
  })

for (const [waitedMs, isFair] of [
  [60_000, true],
  [60_001, false],
] as const)
  test(`a login code that has waited ${waitedMs} ms for its first attempt is ${isFair ? 'in' : 'over'} time`, () => {
    const time = new VirtualTime()
    const fairness = new Fairness(time, new World(time, new Random(1)))
    const acceptedMs = 3_600_000
    // What the sites have planned does not happen: their weather stays.
    while (time.next(acceptedMs + waitedMs) !== null);
    const entry = {
      path: 'u1@d0.site8.test',
      accountKey: 2,
      priority: 0,
      isReport: false,
      acceptedMs,
    } as Entry
    if (isFair) fairness.firstAttempt(entry)
    else assert.throws(() => fairness.firstAttempt(entry), /has waited 60 s for its first attempt/)
  })

test('what was broken is broken again with the same seed, and the words that are printed bring it back', async () => {
  const broken = async (): Promise<string> => {
    let hour = 0
    const sabotage = settling(one => (isDeferral(one) ? { ...one, reason: 'first-attempt' } : one))
    const onHour = (progress: { hour: number }): void => {
      hour = progress.hour
    }
    return await simulate({ seed: 8, hours: 4, rate: 0.5, onHour, sabotage }).then(
      () => 'held',
      (error: Error) => `${hour} ${error.message}`,
    )
  }
  const first = await broken()
  assert.match(first, /the row of/)
  assert.equal(await broken(), first)
  const words = againWords({ seed: 8, hours: 4, rate: 0.5 })
  assert.equal(words, 'npm run simulate -- --seed 8 --hours 4 --rate 0.5')
  assert.deepEqual(readArguments(words.split(' ').slice(4)), {
    seed: 8,
    hours: 4,
    count: 1,
    rate: 0.5,
    isJson: false,
  })
})
