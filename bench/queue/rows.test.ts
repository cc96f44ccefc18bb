// What a long queue is held to beside its speed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMet } from '../figures.ts'
import { type QueueMeasured, queueFigures } from './rows.ts'

const well: QueueMeasured = {
  recipients: 1_000_000,
  domains: 10_000,
  freshRate: 200,
  restMib: 166,
  standingMib: 192,
  emptyMib: 180,
  drainingMib: 282,
  firstMs: { start: 1290, kill: 1310, killInDrain: 1500 },
  inHandAtKill: 10_000,
  p99Ms: { empty: 2, full: 2.2, emptyWhileRetried: 5, fullWhileRetried: 6 },
  failedRate: 5000,
  normalRate: 4000,
  drainRate: 7000,
  drainWindowMs: 30_000,
  longestPauseMs: 2000,
  stallMs: 60_000,
  end: { tookMs: 140_000, stillQueued: 0, neverCame: 0 },
  cameTwice: 12,
}

const missed = (change: Partial<QueueMeasured>): readonly string[] =>
  queueFigures({ ...well, ...change })
    .filter(figure => isMet(figure) === false)
    .map(figure => figure.text)

test('a queue that drains to its end keeps all bars', () => {
  assert.deepEqual(missed({}), [])
})

const end = { tookMs: 140_000, stillQueued: 0, neverCame: 0 }
const broken: readonly (readonly [string, Partial<QueueMeasured>, RegExp])[] = [
  ['a recipient that never came', { end: { ...end, neverCame: 1 } }, /never came/],
  ['a queue that is not empty in the end', { end: { ...end, stillQueued: 1 } }, /still queued/],
  ['a drain that stood still', { longestPauseMs: 60_250 }, /longest time without a delivery/],
  ['a kill when nothing was in hand', { inHandAtKill: 0 }, /in hand at that kill/],
  [
    'a kill in the drain after which fresh mail waits',
    { firstMs: { ...well.firstMs, killInDrain: 5100 } },
    /middle of the drain/,
  ],
  ['receivers that were not down', { failedRate: 0 }, /fail meanwhile/],
]
for (const [name, change, row] of broken)
  test(`${name} is missed`, () => {
    const found = missed(change)
    assert.equal(found.length, 1)
    assert.match(found[0]!, row)
  })

test('where the end is not waited for, the rows name the window', () => {
  const texts = queueFigures({ ...well, end: null }).map(figure => figure.text)
  assert.ok(texts.includes('rate of the drain, over 30 s'))
  assert.ok(texts.some(text => /memory .* first 30 s of its drain/.test(text)))
  assert.ok(!texts.some(text => /never came|until all/.test(text)))
})
