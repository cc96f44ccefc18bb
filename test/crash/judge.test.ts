// Does the judge of crashed servers see a loss? Made-up evidence, with one thing wrong in it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShownEvent } from '../scenario/support/house.ts'
import { type Evidence, judge } from './judge.ts'

const id = 'msg_aaaaaaaaaaaaaaaaaaaaaaaaaa'
const key = `${id}.0`
const there = 'there1-0@there.example'
const gone = 'gone1-0@gone.example'
const killMs = Date.UTC(2026, 0, 1)

const at = (ms: number): string => new Date(killMs + ms).toISOString()
const accepted = (path: string = there): ShownEvent =>
  ({
    type: 'accepted',
    at: at(-1000),
    messageId: id,
    recipientId: null,
    forwardPaths: [path],
  }) as unknown as ShownEvent
const ended = (type: string, ms: number = 1000, isUncertain: boolean = false): ShownEvent =>
  ({ type, at: at(ms), messageId: id, recipientId: key, outcome: { isUncertain } }) as unknown as ShownEvent
const came = (session: number, to: string = there) => ({ id, to: [to], session })
/** Killed when the receiver had seen one session. */
const kill = { atMs: killMs, sessions: 1, marked: new Set([key]) }

const acknowledged = new Map([[id, [there]]])
const nobody = new Map<string, readonly string[]>()
const delivered = [accepted(), ended('delivered')]
const uncertain = [accepted(), ended('delivered', 1000, true)]

/** What the judge is shown beside or instead of what is well, and what it must say; '' when all is well. */
const cases: readonly [string, Partial<Evidence>, string][] = [
  ['a delivery', {}, ''],
  ['a message that is not in the log', { events: [], arrivals: [] }, 'was acknowledged and is lost'],
  ['a recipient without an end', { events: [accepted()] }, 'was acknowledged and is lost'],
  [
    'one without an end that was never acknowledged',
    { acknowledged: nobody, events: [accepted()] },
    'was accepted and is lost',
  ],
  ['a delivery that never came', { arrivals: [] }, 'never came'],
  [
    'a delivery that never came of a message that was never acknowledged',
    { acknowledged: nobody, arrivals: [] },
    'never came',
  ],
  ['a delivery before the power cut', { arrivals: [], arrivedBefore: new Set([`${id} ${there}`]) }, ''],
  ['a bounce of what was not refused', { events: [accepted(), ended('bounced')] }, 'is bounced'],
  ['an expiry', { events: [accepted(), ended('expired')] }, 'is expired'],
  [
    'a refusal for good',
    { acknowledged: new Map([[id, [gone]]]), events: [accepted(gone), ended('bounced')], arrivals: [] },
    '',
  ],
  [
    'a refusal for good that is called an expiry',
    { acknowledged: new Map([[id, [gone]]]), events: [accepted(gone), ended('expired')], arrivals: [] },
    'is expired',
  ],
  ['two ends', { events: [...delivered, ended('delivered')] }, 'has 2 ends'],
  ['other recipients than were sent', { acknowledged: new Map([[id, [gone]]]) }, 'not to gone'],
  ['an arrival that the log does not know', { arrivals: [came(1), came(2, gone)] }, 'the log does not know'],
  ['a duplicate in flight', { events: uncertain, arrivals: [came(1), came(2)], kills: [kill] }, ''],
  ['a duplicate without a kill', { events: uncertain, arrivals: [came(1), came(2)] }, 'came again'],
  [
    'a duplicate after a kill that left no mark of it',
    { events: uncertain, arrivals: [came(1), came(2)], kills: [{ ...kill, marked: new Set() }] },
    'came again',
  ],
  [
    'a duplicate in one life, although a later kill left a mark of it',
    { events: uncertain, arrivals: [came(1), came(1)], kills: [kill] },
    'came again',
  ],
  [
    'a third arrival that only one kill explains',
    { events: uncertain, arrivals: [came(1), came(2), came(2)], kills: [kill, { ...kill, sessions: 2 }] },
    'came again',
  ],
  [
    'a duplicate of what had ended before the kill and left its mark',
    {
      events: [accepted(), ended('delivered', -1, true)],
      arrivals: [came(1), came(2)],
      kills: [kill],
    },
    'came again',
  ],
  ['an unmarked duplicate', { arrivals: [came(1), came(2)], kills: [kill] }, 'not marked uncertain'],
]

for (const [name, shown, wanted] of cases)
  test(`the judge of crashed servers sees ${name}`, () => {
    const { wrong } = judge({ acknowledged, events: delivered, arrivals: [came(1)], kills: [], ...shown })
    if (wanted === '') assert.deepEqual(wrong, [])
    else
      assert.ok(
        wrong.some(text => text.includes(wanted)),
        wrong.join('; ') || 'nothing was found',
      )
  })

test('a mark of a recipient whose end was in the log at the kill does not count as in flight', () => {
  const shown = { acknowledged, arrivals: [came(1)], kills: [kill] }
  assert.equal(judge({ ...shown, events: [accepted(), ended('delivered', -1)] }).counts.inFlight, 0)
  assert.equal(judge({ ...shown, events: [accepted(), ended('delivered', 1)] }).counts.inFlight, 1)
})
