/** The scenario of growing work; its charts stand in docs/operating/. */
import type { FiguresScenario } from '../figures.ts'
import { runGrowth } from './run.ts'

export const growthScenario: FiguresScenario = {
  kind: 'figures',
  name: 'growth',
  title: 'rate and memory by sessions, sizes and destination domains',
  run: runGrowth,
}
