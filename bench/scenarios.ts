/**
 * The questions of the bench and the bars they are held to. A bar is a floor the project promised; its aim
 * is where it wants to be.
 */

import type { FiguresScenario } from './figures.ts'
import { growthScenario } from './growth/index.ts'
import { queueScenarios } from './queue/index.ts'
import { scaleScenarios } from './scale/index.ts'

export interface LoadScenario {
  readonly kind: 'load'
  readonly name: string
  readonly title: string
  readonly bodySizeBytes: number
  /** Kept connections; false is one message a connection. */
  readonly isKept: boolean
  readonly isSigned: boolean
  /** STARTTLS and AUTH in, STARTTLS out, by our own generator and sink. */
  readonly isSecure?: boolean
  readonly messages: number
}

export interface LatencyScenario {
  readonly kind: 'latency'
  readonly name: string
  readonly title: string
  readonly bodySizeBytes: number
  /** The load scenario whose highest end-to-end rate is halved. */
  readonly halfOf: string
  readonly isSigned: boolean
  readonly durationMs: number
}

/** Run by each server in turn. */
export type Scenario = LoadScenario | LatencyScenario

/** All loads run with this many sessions at a time. */
export const sessions = 50

const kib4 = { bodySizeBytes: 4096, isKept: true, isSigned: false } as const

export const scenarios: readonly Scenario[] = [
  { kind: 'load', name: '4k', title: '4 KiB, kept connections', ...kib4, messages: 20_000 },
  {
    kind: 'load',
    name: '4k-single',
    title: '4 KiB, a connection each',
    ...kib4,
    isKept: false,
    messages: 10_000,
  },
  { kind: 'load', name: 'signed', title: '4 KiB, signed', ...kib4, isSigned: true, messages: 10_000 },
  { kind: 'load', name: '100k', title: '100 KB', ...kib4, bodySizeBytes: 100_000, messages: 5_000 },
  {
    kind: 'load',
    name: 'tls',
    title: '4 KiB, TLS and AUTH, kept connections',
    ...kib4,
    isSecure: true,
    messages: 10_000,
  },
  {
    kind: 'load',
    name: 'tls-single',
    title: '4 KiB, TLS and AUTH, a connection each',
    ...kib4,
    isKept: false,
    isSecure: true,
    messages: 4_000,
  },
  {
    kind: 'latency',
    name: 'latency',
    title: '4 KiB, half rate',
    bodySizeBytes: 4096,
    halfOf: '4k',
    isSigned: false,
    durationMs: 10_000,
  },
]

/** Run by Postrider alone; the bars are with the figures. */
export const figureScenarios: readonly FiguresScenario[] = [
  ...scaleScenarios,
  growthScenario,
  ...queueScenarios,
]

export type Bar =
  | {
      readonly kind: 'ratio'
      readonly scenario: string
      readonly to: string
      readonly floor: number
      readonly aim: number
    }
  | { readonly kind: 'p99'; readonly scenario: string; readonly belowMs: number }

/** What Postrider promises; ratios are of medians of the end-to-end rate. */
export const bars: readonly Bar[] = [
  { kind: 'ratio', scenario: '4k', to: 'postfix', floor: 8, aim: 12 },
  { kind: 'ratio', scenario: '4k', to: 'ceiling', floor: 0.22, aim: 0.3 },
  { kind: 'ratio', scenario: '4k-single', to: 'postfix', floor: 5, aim: 7 },
  { kind: 'ratio', scenario: 'signed', to: 'postfix', floor: 6, aim: 8 },
  { kind: 'ratio', scenario: '100k', to: 'postfix', floor: 2, aim: 3 },
  { kind: 'ratio', scenario: 'tls', to: 'postfix', floor: 5, aim: 6 },
  { kind: 'ratio', scenario: 'tls-single', to: 'postfix', floor: 1.5, aim: 2 },
  { kind: 'p99', scenario: 'latency', belowMs: 50 },
]
