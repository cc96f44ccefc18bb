/** Bar charts as SVG text: panels side by side, one bar a step, each with its value. No library, no script inside. */

export interface Panel {
  readonly title: string
  /** The same figure has the same colour in every chart. */
  readonly colour: string
  readonly unit: string
  readonly values: readonly number[]
}

export interface Chart {
  readonly title: string
  readonly stepTitle: string
  /** Labels of the steps, as many as each panel has values. */
  readonly steps: readonly string[]
  readonly panels: readonly Panel[]
}

const panelWidth = 340
const panelHeight = 180
const margin = 40
const top = 64

export function drawChart(chart: Chart): string {
  const width = chart.panels.length * (panelWidth + margin) + margin
  const height = panelHeight + 110
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(chart.title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${margin}" y="24" font-size="15" font-weight="bold">${escaped(chart.title)}</text>`,
    `<text x="${margin}" y="${top + panelHeight + 38}" fill="#555">${escaped(chart.stepTitle)}</text>`,
  ]
  chart.panels.forEach((panel, index) => {
    parts.push(...drawPanel(panel, chart.steps, margin + index * (panelWidth + margin)))
  })
  return `${parts.join('\n')}\n</svg>\n`
}

function drawPanel(panel: Panel, steps: readonly string[], left: number): string[] {
  const bottom = top + panelHeight
  const most = Math.max(...panel.values.filter(Number.isFinite), 1)
  const stepWidth = panelWidth / steps.length
  const barWidth = stepWidth * 0.6
  const parts = [
    `<text x="${left}" y="${top - 18}">${escaped(panel.title)}, ${escaped(panel.unit)}</text>`,
    `<line x1="${left}" y1="${bottom}" x2="${left + panelWidth}" y2="${bottom}" stroke="#888"/>`,
  ]
  steps.forEach((step, index) => {
    const value = panel.values[index] ?? Number.NaN
    const middle = left + stepWidth * (index + 0.5)
    const barHeight = Number.isFinite(value) ? (value / most) * (panelHeight - 16) : 0
    const y = bottom - barHeight
    parts.push(
      `<rect x="${round(middle - barWidth / 2)}" y="${round(y)}" width="${round(barWidth)}" height="${round(barHeight)}" fill="${panel.colour}"/>`,
      `<text x="${round(middle)}" y="${round(y - 5)}" text-anchor="middle">${Number.isFinite(value) ? shown(value) : 'not measured'}</text>`,
      `<text x="${round(middle)}" y="${bottom + 17}" text-anchor="middle">${escaped(step)}</text>`,
    )
  })
  return parts
}

const round = (value: number): number => Math.round(value * 10) / 10

function shown(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
