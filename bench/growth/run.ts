/**
 * Cost as work grows: a fresh server for each point, a warm-up, then the load, timed from its first
 * message to the last arrival; memory is the highest resident set meanwhile. The point that all series share is measured
 * with each of them; its median stands in all, and its spread says what a difference means. With `--write` the charts are
 * drawn.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Figure, FiguresContext } from '../figures.ts'
import { residentMib } from '../scale/server.ts'
import { openStage, peakWhile } from '../scale/stage.ts'
import { drawChart } from './chart.ts'
import { type GrowthPoint, type GrowthSeries, growthSeries } from './points.ts'

interface Measured {
  readonly rate: number
  /** Of contents, MB a second. */
  readonly megabytesRate: number
  readonly peakMib: number
}

const docs = join(import.meta.dirname, '../../docs/operating')
const suffix = 'mail.protection.outlook.com'

export async function runGrowth(context: FiguresContext): Promise<readonly Figure[]> {
  const measured: Measured[][] = []
  const ordinary: Measured[] = []
  for (const { name, points } of growthSeries) {
    const row: Measured[] = []
    for (const point of points) {
      const one = await measure(point, context)
      context.say(`${name} ${point.label}: ${one.rate.toFixed(0)}/s, ${one.peakMib.toFixed(0)} MiB at most`)
      row.push(one)
      if (point.isOrdinary === true) ordinary.push(one)
    }
    measured.push(row)
  }
  const shared = ordinary.toSorted((one, other) => one.rate - other.rate)
  const [slowest, median, fastest] = [shared[0]!, shared[shared.length >> 1]!, shared.at(-1)!]
  const figures: Figure[] = [
    rateFigure(
      `the ordinary load (50 sessions, 4 KiB, 1 domain), slowest of ${shared.length} times`,
      slowest,
    ),
    rateFigure('the same, fastest: smaller differences mean nothing', fastest),
  ]
  for (const [index, series] of growthSeries.entries()) {
    const row = series.points.map((point, at) => (point.isOrdinary === true ? median : measured[index]![at]!))
    for (const [at, one] of row.entries()) {
      const name = `${series.name} ${series.points[at]!.label}`
      figures.push(rateFigure(`${name}, accept and deliver`, one))
      figures.push({ text: `${name}, resident at most`, value: one.peakMib, unit: ' MiB' })
    }
    if (context.isWriting) await draw(series, row)
  }
  return figures
}

function rateFigure(text: string, { rate }: Measured): Figure {
  return { text, value: rate, unit: '/s', digits: 1 }
}

async function measure(point: GrowthPoint, { parent }: FiguresContext): Promise<Measured> {
  await using stage = await openStage({ parent, domains: point.domains, suffix })
  const { generator, sink, server } = stage
  const { sessions, bodySizeBytes, messages, warmUp } = point
  const load = { ...stage.session, sessions, bodySizeBytes, ratePerSecond: null, isTolerant: false }
  await generator.call('run', { ...load, firstMessage: 0, messages: warmUp })
  await sink.call('waitFor', warmUp)
  const { peakMib, result } = await peakWhile(
    () => residentMib(server.program.processId),
    async () => {
      const { startedMs } = await generator.call('run', { ...load, firstMessage: warmUp, messages })
      return (await sink.call('waitFor', warmUp + messages)) - startedMs
    },
  )
  const rate = (messages / result) * 1000
  return { rate, megabytesRate: (rate * bodySizeBytes) / 1e6, peakMib }
}

async function draw(series: GrowthSeries, measured: readonly Measured[]) {
  const { name, title, stepTitle, points, showsBytes } = series
  const panel = (title: string, unit: string, colour: string, value: (one: Measured) => number) => ({
    title,
    unit,
    colour,
    values: measured.map(value),
  })
  await mkdir(docs, { recursive: true })
  const chart = drawChart({
    title,
    stepTitle,
    steps: points.map(point => point.label),
    panels: [
      panel('accepted and delivered', 'messages/s', '#2f6f9f', one => one.rate),
      ...(showsBytes === true ? [panel('their contents', 'MB/s', '#4f7f3f', one => one.megabytesRate)] : []),
      panel('resident memory at most', 'MiB', '#b3632f', one => one.peakMib),
    ],
  })
  await writeFile(join(docs, `growth-${name}.svg`), chart)
}
