/** What the soak is held to, and what it showed. */
import type { FaultShares } from '../traffic/index.ts'
import type { Spread } from './histogram.ts'
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
  /** Messages accepted, divided by the time from the first one's turn to the last one's 250. */
  readonly acceptedPerSecond: number
  /** From the end of the load until the queue was empty, or its time was up. */
  readonly emptyingSeconds: number
  /** Of the server's store: commits with their syncs. */
  readonly commits: Spread
  readonly samples: readonly SoakSample[]
}

export interface SoakVerdict {
  readonly text: string
  readonly isMet: boolean
}

const loopDelayMsMax = 200
/** What the metrics' page calls too slow. */
const commitP99MsMax = 500
/** Of the planned rate. */
const rateShareMin = 0.95
/** Descriptors beside outgoing connections: by so many more may be open in the last quarter than in the second. */
const filesGrowthMax = 20
/**
 * From the second quarter on memory may grow by so much, as the straight line through all samples says: single samples
 * differ by the garbage collector's moods, a leak goes on.
 */
const growthMax = 0.03

export function judgeSoak(report: SoakReport): readonly SoakVerdict[] {
  return [
    judgeLedger(report.ledger),
    judgeDoubles(report.ledger),
    judgeMemory(report.samples),
    judgeLoops(report.samples),
    judgeFiles(report.samples),
    judgeCommits(report.commits),
    judgeLoad(report),
  ]
}

/** Each message has one end, it is the one that the receiver gave it, and none waits any more. */
function judgeLedger(ledger: Ledger): SoakVerdict {
  const { accepted, delivered, bounced, expired, queued, lost, arrived, refused, takenAfterRefusal } = ledger
  return {
    text:
      `ledger: ${accepted} accepted = ${delivered} delivered + ${bounced} bounced + ${expired} expired + ${queued} queued; ` +
      `${lost} lost; the receiver took ${arrived}, refused ${refused} for good, and took ${takenAfterRefusal} that it had refused`,
    isMet:
      ledger.isBalanced &&
      lost === 0 &&
      expired === 0 &&
      queued === 0 &&
      delivered === arrived &&
      bounced === refused &&
      takenAfterRefusal === 0,
  }
}

/** A 250 that was not handed over is followed by another delivery; one that was is not. */
function judgeDoubles({ twice, twiceHeard, twicePerhaps, tookUnheard, endedUnheard }: Ledger): SoakVerdict {
  const kept = twice - twiceHeard - twicePerhaps
  return {
    text:
      `twice: ${twice} came again: ${kept} whose 250 the receiver kept back (it kept back ${tookUnheard}), ${twicePerhaps} whose ` +
      `connection it cut right after the 250, ${twiceHeard} without a reason; ${endedUnheard} should have come again and did not`,
    isMet: twiceHeard === 0 && endedUnheard === 0,
  }
}

function judgeMemory(samples: readonly SoakSample[]): SoakVerdict {
  const memory = samples.map(one => one.residentMib)
  const [early, late] = [mean(quarter(memory, 1)), mean(quarter(memory, 3))]
  const growth = growthOf(memory.slice(Math.floor(memory.length / 4)))
  return {
    text:
      `memory flat: ${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} in the last, ${Math.max(...memory).toFixed(0)} at most; ` +
      `the line through them rises by ${share(growth)}, at most ${share(growthMax)}`,
    isMet: samples.length > 0 && growth <= growthMax,
  }
}

function judgeLoops(samples: readonly SoakSample[]): SoakVerdict {
  const worst = samples.reduce((most, one) => Math.max(most, one.loopDelayMs), 0)
  const over = samples.filter(one => one.loopDelayMs > loopDelayMsMax).length
  const turns = samples.flatMap(one => one.lateTurns)
  const told = turns.map(
    ({ thread, lateMs, cpuMs }) => `${thread} by ${lateMs} ms, of which it computed ${cpuMs}`,
  )
  return {
    text:
      `event loops late by ${loopDelayMsMax} ms at most: ${worst.toFixed(0)} ms; over it in ${over} of ${samples.length} samples` +
      (told.length === 0 ? '' : ` (${told.join('; ')})`),
    isMet: samples.length > 0 && over === 0,
  }
}

function judgeFiles(samples: readonly SoakSample[]): SoakVerdict {
  const others = samples.map(one => one.files - one.connections)
  const [early, late] = [median(quarter(others, 1)), median(quarter(others, 3))]
  const last = samples.at(-1)
  const wal = samples.reduce((most, one) => Math.max(most, one.walMib), 0)
  return {
    text:
      `descriptors level: ${early} beside outgoing connections in the second quarter, ${late} in the last; ` +
      `the database is ${last?.databaseMib.toFixed(0)} MiB at the end, its write-ahead log ${wal.toFixed(0)} at most`,
    isMet: late - early <= filesGrowthMax,
  }
}

function judgeCommits({ count, meanMs, p99MsMax, allMsMax }: Spread): SoakVerdict {
  return {
    text:
      `commits: ${count}, ${meanMs.toFixed(1)} ms in the mean, 99 of 100 within ${p99MsMax} ms, all within ${allMsMax} ms; ` +
      `99 of 100 are to be within ${commitP99MsMax} ms`,
    isMet: p99MsMax <= commitP99MsMax,
  }
}

function judgeLoad(report: SoakReport): SoakVerdict {
  const { ledger, options, acceptedPerSecond } = report
  const planned = options.ratePerSecond ?? Number.NaN
  return {
    text:
      `load: ${acceptedPerSecond.toFixed(0)}/s of ${planned.toFixed(0)}/s planned for ${options.minutes} minutes, ` +
      `${report.outages} outages, empty after ${report.emptyingSeconds.toFixed(0)} s; ` +
      `accept p50 ${report.acceptP50Ms.toFixed(1)} ms, p99 ${report.acceptP99Ms.toFixed(1)} ms; ` +
      `${ledger.clientRefused} refused at the door, ${ledger.clientUnknown} without a reply, ${report.failedScrapes} scrapes failed`,
    isMet:
      acceptedPerSecond >= planned * rateShareMin &&
      ledger.clientRefused === 0 &&
      ledger.clientUnknown === 0 &&
      report.failedScrapes === 0,
  }
}

function quarter(values: readonly number[], index: 0 | 1 | 2 | 3): readonly number[] {
  return values.slice(Math.floor((values.length * index) / 4), Math.ceil((values.length * (index + 1)) / 4))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
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
