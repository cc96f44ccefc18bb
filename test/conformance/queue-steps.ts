// The operations of a queue history, as data that fast-check can make and shrink.

import fc from 'fast-check'
import type { QueueAction } from '../../src/queue/index.ts'

/** One step of a history. */
export type QueueStep =
  | {
      readonly do: 'accept'
      readonly recipients: number
      readonly start: 'leased' | 'scheduled' | 'held'
      readonly account: number
      readonly priority: number
    }
  | { readonly do: 'lease'; readonly most: number }
  | {
      readonly do: 'settle'
      readonly pick: number
      readonly kind: 'delivered' | 'deferred' | 'bounced'
      /** A DSN goes with it, in the same commit. */
      readonly makesReport: boolean
    }
  /** A settlement of somebody who has lost the lease. */
  | { readonly do: 'settleAgain'; readonly pick: number }
  | { readonly do: 'giveBack'; readonly picks: number }
  /** The end of data is about to leave. */
  | { readonly do: 'mark'; readonly pick: number }
  | { readonly do: 'act' | 'recallAndAct'; readonly action: QueueAction['kind']; readonly account: number }
  | { readonly do: 'wait'; readonly ms: number }
  /** The wall clock is set: on, or back. Somebody notices at once, or nobody before the next start. */
  | { readonly do: 'clock'; readonly ms: number; readonly isNoticed: boolean }
  | { readonly do: 'restart' }
  /** kill -9 so many turns of the event loop after an accept and a settlement were asked for. */
  | { readonly do: 'crash'; readonly turns: number }

const account = fc.integer({ min: 1, max: 4 })
const pick = fc.nat(1000)
const action = fc.constantFrom<QueueAction['kind']>('hold', 'release', 'expire', 'retry', 'reroute')

function step<T extends QueueStep>(weight: number, model: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return { weight, arbitrary: fc.record(model) as unknown as fc.Arbitrary<QueueStep> }
}

/** Any step, the ordinary ones more often. */
export const queueSteps: fc.Arbitrary<QueueStep> = fc.oneof(
  step<Extract<QueueStep, { do: 'accept' }>>(6, {
    do: fc.constant('accept'),
    recipients: fc.integer({ min: 1, max: 4 }),
    start: fc.constantFrom('leased', 'scheduled', 'scheduled', 'held'),
    account,
    priority: fc.constantFrom(0, 5, 5, 9),
  }),
  step<Extract<QueueStep, { do: 'lease' }>>(5, {
    do: fc.constant('lease'),
    most: fc.integer({ min: 1, max: 6 }),
  }),
  step<Extract<QueueStep, { do: 'settle' }>>(7, {
    do: fc.constant('settle'),
    pick,
    kind: fc.constantFrom('delivered', 'deferred', 'deferred', 'bounced'),
    makesReport: fc.boolean(),
  }),
  step<Extract<QueueStep, { do: 'settleAgain' }>>(1, { do: fc.constant('settleAgain'), pick }),
  step<Extract<QueueStep, { do: 'giveBack' }>>(1, {
    do: fc.constant('giveBack'),
    picks: fc.integer({ min: 1, max: 3 }),
  }),
  step<Extract<QueueStep, { do: 'mark' }>>(6, { do: fc.constant('mark'), pick }),
  step<Extract<QueueStep, { do: 'act' | 'recallAndAct' }>>(3, {
    do: fc.constantFrom('act', 'recallAndAct'),
    action,
    account,
  }),
  step<Extract<QueueStep, { do: 'wait' }>>(3, {
    do: fc.constant('wait'),
    ms: fc.integer({ min: 1, max: 50_000 }),
  }),
  step<Extract<QueueStep, { do: 'clock' }>>(2, {
    do: fc.constant('clock'),
    ms: fc.constantFrom(86_400_000, -86_400_000, 40_000, -40_000, -5_000),
    isNoticed: fc.boolean(),
  }),
  step<Extract<QueueStep, { do: 'restart' }>>(1, { do: fc.constant('restart') }),
  step<Extract<QueueStep, { do: 'crash' }>>(3, {
    do: fc.constant('crash'),
    turns: fc.integer({ min: 0, max: 4 }),
  }),
)
