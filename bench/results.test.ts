/** What the table's figures stand on: medians, ratios and verdicts. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { endToEndRate, judge, median, type RunResult, type Series } from './results.ts'
import { textTable } from './table.ts'

const run = (rate: number): RunResult => ({
  kind: 'load',
  messages: 1000,
  acceptRate: rate * 2,
  endToEndRate: rate,
  cpuSecondsPerThousand: undefined,
  peakMemoryMib: undefined,
  duplicates: 0,
})

const series = (peer: string, ...rates: number[]): Series => ({
  scenario: '4k',
  scenarioTitle: '4 KiB',
  peer,
  title: peer,
  runs: rates.map(run),
})

describe('results', () => {
  it('the median ignores one disturbed round, and lies between the middle two of an even number', () => {
    assert.equal(median(series('postfix', 900, 10, 1000), endToEndRate), 900)
    assert.equal(median(series('postfix', 1000, 900), endToEndRate), 950)
    assert.ok(Number.isNaN(median(series('postfix'), endToEndRate)))
  })

  it('a bar is met from its floor on, missed below, and open when a side was not measured', () => {
    const verdict = (ours: number) =>
      judge([series('postrider', ours), series('postfix', 1000)]).map(one => one.isMet)
    assert.deepEqual(verdict(8000).slice(0, 2), [true, undefined])
    assert.deepEqual(verdict(7990).slice(0, 2), [false, undefined])
  })

  it('the table shows ratios of medians of the end-to-end rate, and no ratio of Postfix to itself', () => {
    const [, ours, theirs] = textTable([series('postrider', 9000), series('postfix', 1000)]).split('\n')
    assert.match(ours ?? '', /18,000 +9,000 +9\.0$/)
    assert.match(theirs ?? '', /2,000 +1,000$/)
  })
})
