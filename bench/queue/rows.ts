/**
 * What a run of a long queue measured, as figures with their bars. A drain that stood still, a queue that is not empty in
 * the end and a recipient that never came are bars too: a run that is fast and loses mail is not met.
 */
import type { Figure } from '../figures.ts'

/** Times in milliseconds, memory in MiB, rates a second. */
export interface QueueMeasured {
  readonly recipients: number
  readonly domains: number
  readonly freshRate: number
  readonly restMib: number
  readonly standingMib: number
  readonly emptyMib: number
  readonly drainingMib: number
  /** From the start to the arrival of the first fresh message. */
  readonly firstMs: { readonly start: number; readonly kill: number; readonly killInDrain: number }
  /** Recipients in the server's hand at the kill in the drain. */
  readonly inHandAtKill: number
  /** Of fresh mail: nothing is due, and while all of it is due and fails. */
  readonly p99Ms: Readonly<Record<'empty' | 'full' | 'emptyWhileRetried' | 'fullWhileRetried', number>>
  /** Attempts of the queue that failed, a second, during that. */
  readonly failedRate: number
  readonly normalRate: number
  readonly drainRate: number
  readonly drainWindowMs: number
  readonly longestPauseMs: number
  readonly stallMs: number
  /** Null: the drain was watched for its window only. */
  readonly end: DrainEnd | null
  readonly cameTwice: number
}

/** How a drain ended that was to go on to the end. */
export interface DrainEnd {
  /** From the receivers' return on. */
  readonly tookMs: number
  readonly stillQueued: number
  readonly neverCame: number
}

const below = (limit: number) => ({ kind: 'below', limit }) as const
const atLeast = (limit: number) => ({ kind: 'at-least', limit }) as const
const memoryMib = 286

export function queueFigures(measured: QueueMeasured): readonly Figure[] {
  const { end, firstMs, p99Ms } = measured
  const million = `${(measured.recipients / 1e6).toLocaleString('en')} million deferred`
  const window = `${measured.drainWindowMs / 1000} s`
  const mib = (text: string, value: number): Figure => ({ text, value, unit: ' MiB', bar: below(memoryMib) })
  const first = (text: string, ms: number): Figure => ({
    text,
    value: ms / 1000,
    unit: ' s',
    digits: 2,
    bar: below(5),
  })
  const p99 = (text: string, value: number): Figure => ({
    text: `p99 accepted to delivered, another account, ${text}`,
    value,
    unit: ' ms',
    digits: 1,
  })
  return [
    mib(`resident memory with ${million}, nothing to do`, measured.restMib),
    mib(`the same at most, with fresh mail at ${measured.freshRate}/s and scrapes`, measured.standingMib),
    {
      text: 'a server with an empty queue under the same mail, at most',
      value: measured.emptyMib,
      unit: ' MiB',
    },
    mib(
      end === null
        ? `resident memory while all of it is retried, and in the first ${window} of its drain, at most`
        : 'resident memory while all of it is retried and drained, at most',
      measured.drainingMib,
    ),
    first('first fresh message delivered after a start', firstMs.start),
    first('the same after kill -9', firstMs.kill),
    first('the same after kill -9 in the middle of the drain, which goes on', firstMs.killInDrain),
    { text: 'recipients in hand at that kill', value: measured.inHandAtKill, unit: '', bar: atLeast(1) },
    p99('empty queue', p99Ms.empty),
    p99('full queue', p99Ms.full),
    {
      text: 'full queue against empty queue, p99',
      value: p99Ms.full / p99Ms.empty,
      unit: ' ×',
      digits: 2,
      bar: below(2),
    },
    p99('full queue, all of it due and its receivers down', p99Ms.fullWhileRetried),
    p99('empty queue, beside that on the same machine', p99Ms.emptyWhileRetried),
    {
      text: 'attempts of the queue that fail meanwhile',
      value: measured.failedRate,
      unit: '/s',
      bar: atLeast(1),
    },
    {
      text: `normal rate, accept and deliver to ${measured.domains} domains`,
      value: measured.normalRate,
      unit: '/s',
    },
    {
      text: end === null ? `rate of the drain, over ${window}` : 'rate of the drain',
      value: measured.drainRate,
      unit: '/s',
    },
    {
      text: 'the drain against the normal rate',
      value: (measured.drainRate / measured.normalRate) * 100,
      unit: ' %',
      bar: atLeast(80),
    },
    {
      text: 'longest time without a delivery while it drains',
      value: measured.longestPauseMs / 1000,
      unit: ' s',
      digits: 1,
      bar: below(measured.stallMs / 1000),
    },
    ...(end === null ? [] : endFigures(end)),
    { text: 'recipients that came twice, after the kill', value: measured.cameTwice, unit: '' },
  ]
}

function endFigures({ tookMs, stillQueued, neverCame }: DrainEnd): readonly Figure[] {
  return [
    { text: 'until all of it was delivered, that kill included', value: tookMs / 1000, unit: ' s' },
    { text: 'recipients still queued in the end', value: stillQueued, unit: '', bar: below(1) },
    { text: 'recipients that never came', value: neverCame, unit: '', bar: below(1) },
  ]
}
