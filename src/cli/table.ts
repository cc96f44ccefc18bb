// Aligned tables for terminals.

import { displayWidth, type Paint, plain, type Tone } from './text.ts'

/** A cell; its text may come from outside. */
export type Cell = string | { readonly text: string; readonly tone: Tone }

/** A column of rows of one kind. */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => Cell
  /** Numbers stand to the right. */
  readonly isRight?: boolean
}

/** The rows under their titles, each line ended; `empty` when there are none. */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint,
  empty: string,
): string {
  if (rows.length === 0) return `${paint('quiet', empty)}\n`
  const lines: { readonly text: string; readonly tone: Tone }[][] = [
    columns.map(column => ({ text: column.title, tone: 'quiet' })),
    ...rows.map(row => columns.map(column => safeCell(column.cell(row)))),
  ]
  const widths = columns.map((_, at) =>
    lines.reduce((widest, cells) => Math.max(widest, displayWidth(cells[at]?.text ?? '')), 0),
  )
  return lines.map(cells => `${formatLine(cells, columns, widths, paint)}\n`).join('')
}

function formatLine<Row>(
  cells: readonly { readonly text: string; readonly tone: Tone }[],
  columns: readonly Column<Row>[],
  widths: readonly number[],
  paint: Paint,
): string {
  const last = cells.length - 1
  return cells
    .map(({ text, tone }, at) => {
      const space = ' '.repeat((widths[at] ?? 0) - displayWidth(text))
      const painted = paint(tone, text)
      if (columns[at]?.isRight) return space + painted
      // No blanks at the end of a line.
      return at === last ? painted : painted + space
    })
    .join('  ')
}

function safeCell(cell: Cell): { text: string; tone: Tone } {
  return typeof cell === 'string'
    ? { text: plain(cell), tone: 'plain' }
    : { text: plain(cell.text), tone: cell.tone }
}
