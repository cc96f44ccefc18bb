// The table beside the peers keeps what was measured before when only a part is measured again.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type MeasuredTable, mergedTable } from './merged-table.ts'
import { judge, type Series } from './results.ts'
import { sampleConditions as conditions } from './testing/conditions.ts'

const titles: Readonly<Record<string, string>> = { '4k': '4 KiB, kept connections', '100k': '100 KB' }

function one(scenario: string, peer: string, ...rates: number[]): Series {
  const runs = rates.map(rate => ({
    kind: 'load' as const,
    messages: 1000,
    acceptRate: rate,
    endToEndRate: rate,
    cpuSecondsPerThousand: undefined,
    peakMemoryMib: undefined,
    duplicates: 0,
  }))
  return { scenario, scenarioTitle: titles[scenario]!, peer, title: peer, runs }
}

function measured(commit: string, ...series: Series[]): MeasuredTable {
  return { series, verdicts: judge(series), conditions: { ...conditions, commit } }
}

const rowsOf = (text: string): string[] => text.split('\n').filter(line => /^\| (?:4 KiB|100 KB)/.test(line))

describe('the table of the performance page', () => {
  const both = mergedTable(
    '',
    measured(
      'abc',
      one('4k', 'postrider', 9000),
      one('4k', 'postfix', 1000),
      one('100k', 'postrider', 2500),
      one('100k', 'postfix', 500),
    ),
  )
  const again = mergedTable(both, measured('def', one('100k', 'postrider', 400), one('100k', 'postfix', 400)))

  it('keeps the rows of scenarios that were not run, and replaces those that were', () => {
    assert.equal(rowsOf(both).length, 4)
    assert.deepEqual(rowsOf(again).slice(0, 2), rowsOf(both).slice(0, 2))
    assert.ok(again.includes('| 100 KB | postrider | 400 | 400 | 1.0 |'), again)
    assert.ok(!again.includes('2,500'))
  })

  it('says of each row at which commit and under which conditions it was measured', () => {
    assert.deepEqual(
      rowsOf(again).map(row => /\| (\w) \|$/.exec(row)?.[1]),
      ['a', 'a', 'b', 'b'],
    )
    assert.match(
      again,
      /^- \(a\) 2026-11-26 at commit abc: .*medians of 3 interleaved rounds; Postrider at abc/m,
    )
    assert.match(again, /^- \(b\) 2026-11-26 at commit def: /m)
  })

  it('keeps the bars of scenarios that were not run, and judges the others again', () => {
    assert.ok(again.includes('- met – 4k: at least 8 × of postfix (aim 12 ×): 9 ×'), again)
    assert.ok(again.includes('- MISSED – 100k: at least 2 × of postfix (aim 3 ×): 1 ×'), again)
    assert.equal(again.match(/– 100k:/g)?.length, 1)
    assert.ok(!again.includes('– latency:'), 'a bar of what never was measured is not told')
  })

  it('drops conditions that no row names any more', () => {
    const third = mergedTable(again, measured('ghi', one('4k', 'postrider', 1), one('4k', 'postfix', 1)))
    assert.ok(!third.includes('commit abc'))
    assert.deepEqual(third.match(/^- \(\w\)/gm), ['- (a)', '- (b)'])
  })

  it('keeps what it had when all runs of a scenario failed', () => {
    assert.equal(mergedTable(again, measured('ghi', one('4k', 'postrider'))), again)
  })

  it('reads back what it wrote', () => {
    assert.equal(mergedTable(again, measured('ghi')), again)
  })
})
