/** The one table of the bench: its columns, its cells, and the whole as aligned text. */
import { type BarVerdict, endToEndRate, find, median, type RunResult, type Series } from './results.ts'

type Column = readonly [heading: string, cell: (series: Series, all: readonly Series[]) => string]

const number = (value: number, digits = 0): string =>
  Number.isNaN(value)
    ? ''
    : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

const load = (figure: (run: RunResult & { kind: 'load' }) => number | undefined) => (run: RunResult) =>
  run.kind === 'load' ? figure(run) : undefined
const latency = (figure: (run: RunResult & { kind: 'latency' }) => number) => (run: RunResult) =>
  run.kind === 'latency' ? figure(run) : undefined

const ratio = (series: Series, all: readonly Series[], to: string): number =>
  series.peer === to
    ? Number.NaN
    : median(series, endToEndRate) / median(find(all, series.scenario, to), endToEndRate)

const columns: readonly Column[] = [
  ['load', series => series.scenarioTitle],
  ['server', series => series.title],
  [
    'accepted/s',
    series =>
      number(
        median(
          series,
          load(run => run.acceptRate),
        ),
      ),
  ],
  [
    'end to end/s',
    series => {
      const offered = median(
        series,
        latency(run => run.achievedRate),
      )
      return number(Number.isNaN(offered) ? median(series, endToEndRate) : offered)
    },
  ],
  ['× Postfix', (series, all) => (series.peer === 'ceiling' ? '' : number(ratio(series, all, 'postfix'), 1))],
  ['% of ceiling', (series, all) => number(ratio(series, all, 'ceiling') * 100, 0)],
  [
    'CPU s/1000',
    series =>
      number(
        median(
          series,
          load(run => run.cpuSecondsPerThousand),
        ),
        2,
      ),
  ],
  [
    'peak MiB',
    series =>
      number(
        median(
          series,
          load(run => run.peakMemoryMib),
        ),
      ),
  ],
  [
    'accept p50 ms',
    series =>
      number(
        median(
          series,
          latency(run => run.acceptP50Ms),
        ),
        1,
      ),
  ],
  [
    'p99 ms',
    series =>
      number(
        median(
          series,
          latency(run => run.acceptP99Ms),
        ),
        1,
      ),
  ],
  [
    'delivered p50 ms',
    series =>
      number(
        median(
          series,
          latency(run => run.deliveredP50Ms),
        ),
        1,
      ),
  ],
  [
    'p99 ms',
    series =>
      number(
        median(
          series,
          latency(run => run.deliveredP99Ms),
        ),
        1,
      ),
  ],
]

export const headings: readonly string[] = columns.map(([heading]) => heading)

/** The first columns are names. */
export const isNumeric = (column: number): boolean => column > 1

/** Cells of the series that were measured. */
export function tableRows(all: readonly Series[]): readonly (readonly string[])[] {
  const measured = all.filter(series => series.runs.length > 0)
  return measured.map(series => columns.map(([, cell]) => cell(series, all)))
}

/** Aligned columns for a terminal. */
export function textTable(all: readonly Series[]): string {
  const rows = [headings, ...tableRows(all)]
  const widths = columns.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        isNumeric(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}

export function verdictLines(verdicts: readonly BarVerdict[]): readonly string[] {
  const word = (isMet: boolean | undefined): string =>
    isMet === undefined ? 'not measured' : isMet ? 'met' : 'MISSED'
  return verdicts.map(verdict => `${word(verdict.isMet)} – ${verdict.text}`)
}
