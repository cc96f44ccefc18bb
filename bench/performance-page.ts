/**
 * Writes the measured figures into docs/operating/performance.md: the table beside the peers between its marker lines,
 * and the figures of our own scenarios between theirs. In both a scenario that was not run keeps what it had. What stands
 * around them is written by hand and left alone.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Conditions, conditionsText } from './conditions.ts'
import { figureLines, type MeasuredFigures } from './figures.ts'
import { type MeasuredTable, mergedTable } from './merged-table.ts'

const page = join(import.meta.dirname, '../docs/operating/performance.md')
const table = {
  begin: '<!-- figures: begin, written by npm run bench -- --write -->',
  end: '<!-- figures: end -->',
}
const own = {
  begin: '<!-- own figures: begin, written by npm run bench -- --write -->',
  end: '<!-- own figures: end -->',
}

export async function writePerformancePage(
  measured: MeasuredTable & { readonly figures: readonly MeasuredFigures[] },
): Promise<string> {
  let text = await readFile(page, 'utf8').catch(() => '# Performance\n')
  const { conditions, series, figures } = measured
  if (series.length > 0) text = replaced(text, table, old => mergedTable(old, measured))
  if (figures.length > 0) text = replaced(text, own, old => mergedFigures(old, figures, conditions))
  await mkdir(dirname(page), { recursive: true })
  await writeFile(page, text)
  return page
}

function replaced(
  text: string,
  { begin, end }: { readonly begin: string; readonly end: string },
  make: (old: string) => string,
): string {
  const whole = text.includes(begin) ? text : `${text}\n${begin}\n${end}\n`
  const [from, to] = [whole.indexOf(begin) + begin.length, whole.indexOf(end)]
  if (to < from) throw new Error(`${page} has lost its marker line "${end}"`)
  return `${whole.slice(0, from)}\n${make(whole.slice(from, to))}\n${whole.slice(to)}`
}

/** One block a scenario, each with its own commit: they are not all run together. */
export function mergedFigures(
  old: string,
  figures: readonly MeasuredFigures[],
  conditions: Conditions,
): string {
  const blocks = new Map<string, string>()
  for (const block of old.split(/^(?=\*\*)/m)) {
    const name = /^\*\*([\w-]+)\*\*/.exec(block)?.[1]
    if (name !== undefined) blocks.set(name, block.trim())
  }
  for (const one of figures) {
    const head = `**${one.scenario}**: ${one.title}`
    // Once each, by Postrider alone: rounds, sessions and the versions of peers say nothing here.
    const under = conditionsText({ ...conditions, rounds: undefined, versions: [] })
    const lines = figureLines([one]).map(line => `- ${line}`)
    blocks.set(one.scenario, [head, '', `Measured ${under}`, '', ...lines].join('\n'))
  }
  return `\n${[...blocks.values()].join('\n\n')}`
}
