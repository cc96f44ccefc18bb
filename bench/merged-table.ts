/**
 * The table beside the peers as it stands on the performance page, of which a run of the bench
 * replaces only what it measured.
 *
 * Three parts: conditions, one letter each; rows, each with the letter of its conditions; bars. A scenario that was run
 * gets new rows for all servers at once, since only servers of one run are comparable; the rows and bars of the others
 * stay, with the conditions that they name.
 */
import { type Conditions, conditionsText } from './conditions.ts'
import type { BarVerdict, Series } from './results.ts'
import { scenarios } from './scenarios.ts'
import { headings, isNumeric, tableRows, verdictLines } from './table.ts'

export interface MeasuredTable {
  readonly series: readonly Series[]
  readonly verdicts: readonly BarVerdict[]
  readonly conditions: Conditions
}

interface Row {
  readonly cells: readonly string[]
  readonly conditions: string
}

interface Parts {
  readonly rows: readonly Row[]
  readonly bars: readonly string[]
}

const introduction =
  'Load generator, server and sink share the machine; durability is on everywhere. Rows of one scenario are of one run; the ' +
  'last column names its conditions, which stand below.'
const lastHeading = 'as of'

/** @param old what stood between the marker lines. */
export function mergedTable(old: string, measured: MeasuredTable): string {
  const before = read(old)
  const { series, verdicts, conditions } = measured
  const ran = new Set(series.filter(one => one.runs.length > 0).map(one => one.scenario))
  const order = scenarios.map(({ name, title }) => ({ name, title }))
  const fresh = tableRows(series).map(cells => ({ cells, conditions: conditionsText(conditions) }))
  const rows = order.flatMap(({ name, title }) =>
    (ran.has(name) ? fresh : before.rows).filter(row => row.cells[0] === title),
  )
  const freshBars = verdictLines(verdicts)
  const bars = order.flatMap(({ name }) =>
    (ran.has(name) ? freshBars : before.bars).filter(line => scenarioOfBar(line) === name),
  )
  return written({ rows, bars })
}

function written({ rows, bars }: Parts): string {
  const known = [...new Set(rows.map(row => row.conditions))]
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    '',
    introduction,
    '',
    line([...headings, lastHeading]),
    line([...headings.map((_, column) => (isNumeric(column) ? '---:' : '---')), '---']),
    ...rows.map(row => line([...row.cells, letter(known.indexOf(row.conditions))])),
    '',
    ...known.map((text, index) => `- (${letter(index)}) ${text}`),
    '',
    ...bars.map(text => `- ${text}`),
  ].join('\n')
}

function read(text: string): Parts {
  const lines = text.split('\n')
  const conditions = new Map<string, string>()
  for (const line of lines) {
    const [, name, said] = /^- \(([a-z]+)\) (.*)$/.exec(line) ?? []
    if (name !== undefined && said !== undefined) conditions.set(name, said)
  }
  const rows = lines.filter(line => line.startsWith('| ')).map(line => line.slice(2, -2).split(' | '))
  return {
    rows: rows
      .filter(cells => cells.length === headings.length + 1 && conditions.has(cells.at(-1) ?? ''))
      .map(cells => ({ cells: cells.slice(0, -1), conditions: conditions.get(cells.at(-1)!)! })),
    bars: lines.filter(line => scenarioOfBar(line.slice(2)) !== undefined).map(line => line.slice(2)),
  }
}

/** The scenario that a line such as "met – 4k: at least …" is about. */
function scenarioOfBar(line: string): string | undefined {
  return /^(?:met|MISSED|not measured) – ([\w-]+): /.exec(line)?.[1]
}

function letter(index: number): string {
  return String.fromCharCode(97 + index)
}
