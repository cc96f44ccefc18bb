/**
 * Writes the measured figures into docs/operating/performance.md, between two marker lines; what stands
 * around them is written by hand and left alone.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Conditions } from './conditions.ts'
import { figureLines, type MeasuredFigures } from './figures.ts'
import type { BarVerdict, Series } from './results.ts'
import { markdownTable, verdictLines } from './table.ts'

const page = join(import.meta.dirname, '../docs/operating/performance.md')
const begin = '<!-- figures: begin, written by npm run bench -- --write -->'
const end = '<!-- figures: end -->'

export async function writePerformancePage(figures: {
  readonly series: readonly Series[]
  readonly verdicts: readonly BarVerdict[]
  readonly conditions: Conditions
  readonly figures: readonly MeasuredFigures[]
}): Promise<string> {
  const old = await readFile(page, 'utf8').catch(() => `# Performance\n\n${begin}\n${end}\n`)
  const [from, to] = [old.indexOf(begin), old.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page} has lost its marker lines "${begin}" and "${end}"`)
  const { conditions, series, verdicts } = figures
  const text = [
    begin,
    '',
    `Measured ${conditions.date} at commit ${conditions.commit}: ${conditions.processor}, ${conditions.cores} cores, ` +
      `${conditions.memoryGib} GiB memory, ${conditions.system}, kernel ${conditions.kernel}, queues on ${conditions.fileSystem}. ` +
      `Load generator, server and sink share the machine. ${conditions.sessions} sessions, medians of ` +
      `${conditions.rounds} interleaved rounds, durability on everywhere. ${conditions.versions.join('; ')}.`,
    '',
    markdownTable(series),
    '',
    ...verdictLines(verdicts).map(line => `- ${line}`),
    ...figureLines(figures.figures).map(line => `- ${line}`),
    '',
  ].join('\n')
  await mkdir(dirname(page), { recursive: true })
  await writeFile(page, old.slice(0, from) + text + old.slice(to))
  return page
}
