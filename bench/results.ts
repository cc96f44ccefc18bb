/** Results of all runs, their medians, and whether the bars are met. */
import type { LatencyResult } from './latency/run.ts'
import type { LoadResult } from './load-run.ts'
import { type Bar, bars } from './scenarios.ts'

export type RunResult =
  | ({ readonly kind: 'load' } & LoadResult)
  | ({ readonly kind: 'latency' } & LatencyResult)

/** All runs of one server in one scenario, in order. */
export interface Series {
  readonly scenario: string
  readonly scenarioTitle: string
  readonly peer: string
  readonly title: string
  readonly runs: RunResult[]
}

export interface BarVerdict {
  readonly bar: Bar
  readonly text: string
  /** Undefined: this run of the bench did not measure what the bar is about. */
  readonly isMet: boolean | undefined
}

/** The median of one figure over the runs of a series; NaN when no run has it. */
export function median(series: Series | undefined, figure: (run: RunResult) => number | undefined): number {
  const values = (series?.runs ?? []).map(figure).filter(value => value !== undefined)
  const sorted = values.sort((one, other) => one - other)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export const endToEndRate = (run: RunResult): number | undefined =>
  run.kind === 'load' ? run.endToEndRate : undefined

export function find(all: readonly Series[], scenario: string, peer: string): Series | undefined {
  return all.find(one => one.scenario === scenario && one.peer === peer)
}

/** The bars, each with what was measured. */
export function judge(all: readonly Series[]): readonly BarVerdict[] {
  return bars.map(bar => {
    const ours = find(all, bar.scenario, 'postrider')
    if (bar.kind === 'p99') {
      const p99 = median(ours, run => (run.kind === 'latency' ? run.deliveredP99Ms : undefined))
      const text = `${bar.scenario}: p99 accepted to delivered below ${bar.belowMs} ms: ${shown(p99, ' ms')}`
      return { bar, text, isMet: Number.isNaN(p99) ? undefined : p99 < bar.belowMs }
    }
    const theirs = find(all, bar.scenario, bar.to)
    const ratio = median(ours, endToEndRate) / median(theirs, endToEndRate)
    const asText = (value: number): string =>
      bar.to === 'ceiling' ? shown(value * 100, ' %') : shown(value, ' ×')
    const name = bar.to === 'ceiling' ? 'the ceiling' : (theirs?.title ?? bar.to)
    const text = `${bar.scenario}: at least ${asText(bar.floor)} of ${name} (aim ${asText(bar.aim)}): ${asText(ratio)}`
    return { bar, text, isMet: Number.isNaN(ratio) ? undefined : ratio >= bar.floor }
  })
}

function shown(value: number, unit: string): string {
  return Number.isNaN(value) ? 'not measured' : `${Number(value.toFixed(1))}${unit}`
}
