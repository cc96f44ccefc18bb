/** What the soak is held to, and what it showed. */
import type { FaultShares } from '../traffic/index.ts'
import type { Ledger } from './ledger.ts'
import type { SoakOptions } from './options.ts'
import type { SoakSample } from './watch.ts'

export interface SoakReport {
  readonly options: SoakOptions
  readonly commit: string
  readonly ledger: Ledger
  readonly outages: number
  readonly faults: FaultShares
  readonly failedScrapes: number
  readonly acceptP50Ms: number
  readonly acceptP99Ms: number
  readonly samples: readonly SoakSample[]
}

export interface SoakVerdict {
  readonly text: string
  readonly isMet: boolean
}

const loopDelayMsMax = 200
/**
 * From the second quarter on memory may grow by so much, as the straight line through all samples says: single samples
 * differ by the garbage collector's moods, a leak goes on.
 */
const growthMax = 0.03

export function judgeSoak({ ledger, samples, options, ...rest }: SoakReport): readonly SoakVerdict[] {
  const memory = samples.map(one => one.residentMib)
  const [early, late] = [mean(quarter(memory, 1)), mean(quarter(memory, 3))]
  const growth = growthOf(memory.slice(Math.floor(memory.length / 4)))
  const worst = samples.reduce((most, one) => Math.max(most, one.loopDelayMs), 0)
  const over = samples.filter(one => one.loopDelayMs > loopDelayMsMax).length
  const { accepted, delivered, bounced, expired, queued, lost, twice } = ledger
  return [
    {
      text:
        `ledger: ${accepted} accepted = ${delivered} delivered + ${bounced} bounced + ${expired} expired + ${queued} queued; ` +
        `${lost} lost; ${twice} came twice (the receiver dropped ${share(rest.faults.dropAfterDot)} of them after taking them)`,
      isMet: ledger.isBalanced && lost === 0,
    },
    {
      text:
        `memory flat: ${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} in the last, ${Math.max(...memory).toFixed(0)} at most; ` +
        `the line through them rises by ${share(growth)}, at most ${share(growthMax)}`,
      isMet: growth <= growthMax,
    },
    {
      text: `event loops late by ${loopDelayMsMax} ms at most: ${worst.toFixed(0)} ms; over it in ${over} of ${samples.length} samples`,
      isMet: samples.length > 0 && over === 0,
    },
    {
      text:
        `load: ${Math.round(options.ratePerSecond ?? 0)}/s for ${options.minutes} minutes, ${rest.outages} outages; ` +
        `accept p50 ${rest.acceptP50Ms.toFixed(1)} ms, p99 ${rest.acceptP99Ms.toFixed(1)} ms; ` +
        `${ledger.clientRefused} refused at the door, ${rest.failedScrapes} scrapes failed`,
      isMet: ledger.clientRefused === 0 && rest.failedScrapes === 0,
    },
  ]
}

function quarter(values: readonly number[], index: 0 | 1 | 2 | 3): readonly number[] {
  return values.slice(Math.floor((values.length * index) / 4), Math.ceil((values.length * (index + 1)) / 4))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length
}

/** How much the line of least squares rises from its begin to its end, as a part of the mean. */
function growthOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const level = mean(values)
  let products = 0
  let squares = 0
  for (const [index, value] of values.entries()) {
    products += (index - middle) * (value - level)
    squares += (index - middle) ** 2
  }
  return squares === 0 ? 0 : ((products / squares) * (values.length - 1)) / level
}

function share(part: number): string {
  return `${(part * 100).toFixed(2)} %`
}
