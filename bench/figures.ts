/**
 * Scenarios of our own, without peers: each measures several figures, and each figure says which bar it is held to. They
 * are run once a bench, since each makes its own comparison.
 */

export interface Figure {
  /** What was measured, as a sentence that ends before the value. */
  readonly text: string
  readonly value: number
  readonly unit: string
  /** Decimals shown. Default 0. */
  readonly digits?: number
  /** Undefined: told, and held to nothing. */
  readonly bar?: { readonly kind: 'below' | 'at-least'; readonly limit: number }
}

export interface FiguresContext {
  /** A folder on a real disk; scenarios make their own below it. */
  readonly parent: string
  /** Pictures are drawn into the docs. */
  readonly isWriting: boolean
  readonly say: (line: string) => void
}

export interface FiguresScenario {
  readonly kind: 'figures'
  readonly name: string
  readonly title: string
  /** Takes so long or so much that it runs only when it is named. */
  readonly isOnDemand?: boolean
  readonly run: (context: FiguresContext) => Promise<readonly Figure[]>
}

/** A scenario's figures as measured. */
export interface MeasuredFigures {
  readonly scenario: string
  readonly title: string
  readonly figures: readonly Figure[]
}

/** Undefined: held to nothing, or not measured. */
export function isMet({ value, bar }: Figure): boolean | undefined {
  if (bar === undefined || Number.isNaN(value)) return undefined
  return bar.kind === 'below' ? value < bar.limit : value >= bar.limit
}

export function figureLines(measured: readonly MeasuredFigures[]): readonly string[] {
  return measured.flatMap(({ scenario, figures }) =>
    figures.map(figure => {
      const met = isMet(figure)
      const word = met === undefined ? 'measured' : met ? 'met' : 'MISSED'
      const digits = figure.digits ?? 0
      const said = (value: number): string =>
        `${value.toLocaleString('en', { maximumFractionDigits: digits })}${figure.unit}`
      const { bar } = figure
      const held =
        bar === undefined ? '' : ` (${bar.kind === 'below' ? 'below' : 'at least'} ${said(bar.limit)})`
      return `${word} – ${scenario}: ${figure.text}${held}: ${said(figure.value)}`
    }),
  )
}
