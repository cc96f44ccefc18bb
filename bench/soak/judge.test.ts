// What the soak is held to.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { heardStates } from '../traffic/answers.ts'
import { everydayFaults, Faults } from '../traffic/faults.ts'
import { spreadOf } from './histogram.ts'
import { judgeSoak, type SoakReport } from './judge.ts'
import { type Ledger, makeLedger } from './ledger.ts'

const ledger: Ledger = {
  clientAccepted: 100,
  clientUnknown: 0,
  clientRefused: 0,
  accepted: 100,
  delivered: 98,
  bounced: 2,
  expired: 0,
  queued: 0,
  arrived: 98,
  refused: 2,
  takenAfterRefusal: 0,
  lost: 0,
  twice: 3,
  twiceHeard: 0,
  twicePerhaps: 1,
  tookUnheard: 2,
  endedUnheard: 0,
  isBalanced: true,
}

const level = [150, 200, 205, 203]

function report(change: Partial<SoakReport>, residentMib = level, loopDelayMs = 20): SoakReport {
  const sample = { seconds: 0, heapMib: 1, externalMib: 1, acceptedPerSecond: 1, queued: 0, ready: 0 }
  const files = { connections: 0, files: 0, databaseMib: 0, walMib: 0, machineLoad: 1, lateTurns: [] }
  return {
    options: {
      minutes: 1,
      ratePerSecond: 10,
      seed: 1,
      bodySizeBytes: 1,
      sessions: 1,
      awayEverySeconds: 300,
    },
    commit: 'abc',
    ledger,
    outages: 0,
    faults: everydayFaults,
    failedScrapes: 0,
    acceptP50Ms: 1,
    acceptP99Ms: 2,
    acceptedPerSecond: 9.6,
    emptyingSeconds: 40,
    commits: { count: 50, meanMs: 3, p99MsMax: 25, allMsMax: 1000 },
    samples: residentMib.map(mib => ({ ...sample, ...files, residentMib: mib, loopDelayMs })),
    ...change,
  }
}

const missed = (given: SoakReport): string[] =>
  judgeSoak(given)
    .filter(one => !one.isMet)
    .map(one => one.text.split(/[: ]/)[0]!)

test('a balanced ledger, level memory and prompt event loops meet everything', () => {
  assert.deepEqual(missed(report({}, [150, 200, 205, 203])), [])
})

test('memory that grows, a late event loop or a scrape without an answer is missed', () => {
  assert.deepEqual(missed(report({}, [150, 200, 230, 260])), ['memory'])
  assert.deepEqual(missed(report({}, level, 201)), ['event'])
  const noisy = (growth: number) =>
    Array.from({ length: 360 }, (_, at) => 200 + 10 * Math.sin(at * 1.7) + (growth * at) / 360)
  assert.deepEqual(missed(report({}, noisy(0))), [])
  assert.deepEqual(missed(report({}, noisy(12))), ['memory'], 'a leak of 12 MiB below a noise of 20')
  assert.deepEqual(missed(report({ failedScrapes: 1 })), ['load'])
})

test('of a late event loop it is said which thread, and what of that it computed', () => {
  const { samples, ...rest } = report({}, level, 553)
  const late = [{ thread: 'relay-0', lateMs: 553, cpuMs: 12 }]
  const verdicts = judgeSoak({
    ...rest,
    samples: samples.map((one, at) => (at === 2 ? { ...one, lateTurns: late } : one)),
  })
  assert.match(
    verdicts.find(one => !one.isMet)!.text,
    /over it in 4 of 4 samples \(relay-0 by 553 ms, of which it computed 12\)/,
  )
})

test('each end that the receiver did not give, mail without an end, and doubled mail without a reason are missed', () => {
  for (const [change, word] of [
    [{ lost: 1 }, 'ledger'],
    [{ expired: 5, delivered: 93 }, 'ledger'],
    [{ queued: 50, delivered: 48 }, 'ledger'],
    [{ bounced: 3, delivered: 97 }, 'ledger'],
    [{ bounced: 1, delivered: 99 }, 'ledger'],
    [{ arrived: 97 }, 'ledger'],
    [{ takenAfterRefusal: 1 }, 'ledger'],
    [{ accepted: Number.NaN }, 'ledger'],
    [{ delivered: Number.NaN }, 'ledger'],
    [{ twice: 100, twiceHeard: 97 }, 'twice'],
    [{ endedUnheard: 1 }, 'twice'],
    [{ clientUnknown: 10, clientAccepted: 90 }, 'load'],
    [{ clientRefused: 1 }, 'load'],
  ] as const) {
    const isBalanced = !Object.values(change).some(Number.isNaN)
    assert.deepEqual(missed(report({ ledger: { ...ledger, isBalanced, ...change } })), [word], word)
  }
})

test('a rate below the plan, commits that are slow or not told, and descriptors that grow are missed', () => {
  assert.deepEqual(missed(report({ acceptedPerSecond: 9.4 })), ['load'])
  assert.deepEqual(missed(report({ acceptedPerSecond: Number.NaN })), ['load'])
  const commits = { count: 50, meanMs: 3, p99MsMax: 1000, allMsMax: 1000 }
  assert.deepEqual(missed(report({ commits })), ['commits'])
  assert.deepEqual(missed(report({ commits: { ...commits, p99MsMax: Number.NaN } })), ['commits'])
  const samples = report({}).samples.map((one, at) => ({ ...one, files: 200 + at * 20, connections: at }))
  assert.deepEqual(missed(report({ samples })), ['descriptors'])
  assert.deepEqual(missed(report({ samples: [] })).sort(), ['descriptors', 'event', 'memory'])
})

test('the ledger holds each accepted message against what the receiver did with it', () => {
  const { none, heard, unheard, perhaps } = heardStates
  const load = { accepted: 7, unknown: 1, refused: 0, acceptedMs: new Float64Array([1, 1, 1, 1, 1, 1, 1, 0]) }
  const receiver = {
    //                          taken | kept back | refused | may be, then taken | refused, then taken | nowhere
    arrivals: new Float64Array([9, 9, 0, 0, 9, 9, 0, 9]),
    taken: new Uint8Array([heard, unheard, none, none, heard, perhaps, none, heard]),
    refused: new Uint8Array([none, none, heard, perhaps, perhaps, heard, none, none]),
    counts: { twice: 0, twiceHeard: 0, twicePerhaps: 0, tookUnheard: 1 },
  }
  const outcomes = (kind: string, count: number): [string, number] => [
    `postrider_outcomes_total{kind="${kind}"}`,
    count,
  ]
  const after = [
    ['postrider_messages_accepted_total{door="smtp"}', 18],
    outcomes('delivered', 15),
    outcomes('bounced', 2),
  ]
  const before = new Map([outcomes('delivered', 10), ['postrider_messages_accepted_total{door="smtp"}', 10]])
  const told = (more: [string, number][]) =>
    makeLedger(load, receiver, {
      before,
      after: new Map([...(after as [string, number][]), ...more]),
      queued: 1,
    })
  const made = told([outcomes('expired', 0)])
  assert.deepEqual(
    { ...made },
    {
      clientAccepted: 7,
      clientUnknown: 1,
      clientRefused: 0,
      accepted: 8,
      delivered: 5,
      bounced: 2,
      expired: 0,
      queued: 1,
      arrived: 4,
      refused: 2,
      takenAfterRefusal: 1,
      lost: 0,
      ...receiver.counts,
      endedUnheard: 1,
      isBalanced: true,
    },
  )
  assert.equal(told([]).isBalanced, false, 'a counter that is missing is no zero')
})

test('a histogram between two scrapes: mean, and the buckets in which 99 of 100 and all are', () => {
  const scraped = (counts: readonly number[], sum: number) =>
    new Map([
      ...['0.001', '0.5', '+Inf'].map((le, at): [string, number] => [`x_bucket{le="${le}"}`, counts[at]!]),
      ['x_sum', sum] as const,
      ['x_count', counts.at(-1)!] as const,
    ])
  const before = scraped([5, 5, 5], 1)
  assert.deepEqual(spreadOf('x', before, scraped([104, 105, 105], 2)), {
    count: 100,
    meanMs: 10,
    p99MsMax: 1,
    allMsMax: 500,
  })
  assert.equal(spreadOf('x', before, scraped([103, 105, 106], 2)).p99MsMax, 500)
  assert.equal(spreadOf('x', before, before).p99MsMax, Number.NaN)
  assert.equal(spreadOf('y', before, before).p99MsMax, Number.NaN)
})

test('faults are drawn from the seed alone, and a recipient refused for good is refused each time', () => {
  const drawn = (seed: number) => {
    const faults = new Faults(everydayFaults, seed)
    return Array.from({ length: 200 }, () => faults.falls('rcpt450'))
  }
  assert.deepEqual(drawn(7), drawn(7))
  const refused = (seed: number) => {
    const faults = new Faults(everydayFaults, seed)
    return Array.from({ length: 5_000 }, (_, number) => number).filter(number =>
      faults.isRefusedForGood(number),
    )
  }
  assert.deepEqual(refused(1), refused(2))
  assert.ok(refused(1).length > 50 && refused(1).length < 150, `${refused(1).length} of 5,000`)
})
