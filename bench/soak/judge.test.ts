// What the soak is held to.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { everydayFaults, Faults } from '../traffic/faults.ts'
import { judgeSoak, type SoakReport } from './judge.ts'
import type { Ledger } from './ledger.ts'

const ledger: Ledger = {
  clientAccepted: 100,
  clientUnknown: 0,
  clientRefused: 0,
  accepted: 100,
  delivered: 97,
  bounced: 2,
  expired: 0,
  queued: 1,
  lost: 0,
  twice: 1,
  isBalanced: true,
}

function report(change: Partial<SoakReport>, residentMib: readonly number[], loopDelayMs = 20): SoakReport {
  const sample = { seconds: 0, heapMib: 1, externalMib: 1, acceptedPerSecond: 1, queued: 0, ready: 0 }
  const files = { connections: 0, files: 0, databaseMib: 0, walMib: 0, machineLoad: 1 }
  return {
    options: { minutes: 1, ratePerSecond: 10, seed: 1, bodySizeBytes: 1, sessions: 1 },
    commit: 'abc',
    ledger,
    outages: 0,
    faults: everydayFaults,
    failedScrapes: 0,
    acceptP50Ms: 1,
    acceptP99Ms: 2,
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

test('one lost message, memory that grows, a late event loop or a scrape without an answer is missed', () => {
  const level = [150, 200, 205, 203]
  assert.deepEqual(missed(report({ ledger: { ...ledger, lost: 1 } }, level)), ['ledger'])
  assert.deepEqual(missed(report({}, [150, 200, 230, 260])), ['memory'])
  assert.deepEqual(missed(report({}, level, 201)), ['event'])
  const noisy = (growth: number) =>
    Array.from({ length: 360 }, (_, at) => 200 + 10 * Math.sin(at * 1.7) + (growth * at) / 360)
  assert.deepEqual(missed(report({}, noisy(0))), [])
  assert.deepEqual(missed(report({}, noisy(12))), ['memory'], 'a leak of 12 MiB below a noise of 20')
  assert.deepEqual(missed(report({ failedScrapes: 1 }, level)), ['load'])
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
