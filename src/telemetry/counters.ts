// Counters, gauges and histograms as plain numbers: the hot path only adds, and the text is made when it is asked for.
//
// Place on the path: beside it; every thread has its own and adds without a lock, a label lookup or a promise. What
// they collect has the form that prom-client merges (metrics.ts). Invariant: label values are bounded, whatever
// arrives.

import { Distribution } from '../base/index.ts'

/** What a metric says of itself; the reference page is made of it. */
export interface MetricText {
  /** Full name, `postrider_…`, with its unit. */
  readonly name: string
  readonly help: string
  /** What a healthy installation shows. */
  readonly healthy: string
  /** When to wake somebody up, as a PromQL condition or a sentence. */
  readonly alert: string
  /** Name of the one label, if it has one. */
  readonly label?: string
  /** Values of the label that exist from the start, so that a rate has a zero to start from. */
  readonly labelValues?: readonly string[]
}

/** One collected metric, in prom-client's JSON form. */
export interface CollectedMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly aggregator: 'sum' | 'max'
  readonly values: readonly CollectedValue[]
}

export interface CollectedValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
}

/** Anything that can be collected. */
export interface Collected {
  readonly text: MetricText
  collect(): CollectedMetric
}

/** A number that only grows. */
export class Tally {
  value = 0

  inc(by: number = 1): void {
    this.value += by
  }
}

/** A counter without labels. */
export class Counter extends Tally implements Collected {
  readonly text: MetricText

  constructor(text: MetricText) {
    super()
    this.text = text
  }

  collect(): CollectedMetric {
    return metric(this.text, 'counter', [{ value: this.value, labels: {} }])
  }
}

/** Label values beyond this many are counted together as `other`. */
const labelValuesMax = 100

/** A counter with one label. Fetch the child once where the value is known, and keep it. */
export class LabelledCounter implements Collected {
  readonly text: MetricText
  readonly #children = new Map<string, Tally>()

  constructor(text: MetricText) {
    this.text = text
    for (const value of text.labelValues ?? []) this.child(value)
  }

  child(value: string): Tally {
    const name = this.#children.has(value) || this.#children.size < labelValuesMax ? value : 'other'
    return this.#children.getOrInsertComputed(name, () => new Tally())
  }

  /** Adds where the value is not known before; one map lookup. */
  inc(value: string, by: number = 1): void {
    this.child(value).inc(by)
  }

  collect(): CollectedMetric {
    const label = this.text.label ?? 'kind'
    const values = [...this.#children].map(([name, tally]) => ({
      value: tally.value,
      labels: { [label]: name },
    }))
    return metric(this.text, 'counter', values)
  }
}

/** A number that goes up and down. Threads' values are added, or the greatest is taken. */
export class Gauge implements Collected {
  readonly text: MetricText
  readonly #aggregator: 'sum' | 'max'
  readonly #values = new Map<string, number>()

  constructor(text: MetricText, aggregator: 'sum' | 'max' = 'sum') {
    this.text = text
    this.#aggregator = aggregator
  }

  /** @param labelValue '' for a gauge without a label. */
  set(value: number, labelValue: string = ''): void {
    this.#values.set(labelValue, value)
  }

  /** Shows nothing until it is set again: better than a value that is not true any more. */
  clear(): void {
    this.#values.clear()
  }

  add(by: number, labelValue: string = ''): void {
    this.#values.set(labelValue, (this.#values.get(labelValue) ?? 0) + by)
  }

  collect(): CollectedMetric {
    const { label } = this.text
    const values = [...this.#values].map(([name, value]) => ({
      value,
      labels: label === undefined ? {} : { [label]: name },
    }))
    return { ...metric(this.text, 'gauge', values), aggregator: this.#aggregator }
  }
}

/** Counts values by size. */
export class Histogram extends Distribution implements Collected {
  readonly text: MetricText

  /** @param bounds upper bounds, ascending. */
  constructor(text: MetricText, bounds: readonly number[]) {
    super(bounds)
    this.text = text
  }

  collect(): CollectedMetric {
    const { name } = this.text
    const { counts, sum } = this.counted()
    const values: CollectedValue[] = []
    let count = 0
    for (const [i, bound] of [...this.bounds, '+Inf' as const].entries()) {
      count += counts[i]!
      values.push({ metricName: `${name}_bucket`, labels: { le: bound }, value: count })
    }
    values.push({ metricName: `${name}_sum`, labels: {}, value: sum })
    values.push({ metricName: `${name}_count`, labels: {}, value: count })
    return metric(this.text, 'histogram', values)
  }
}

function metric(
  text: MetricText,
  type: CollectedMetric['type'],
  values: readonly CollectedValue[],
): CollectedMetric {
  return { name: text.name, help: text.help, type, aggregator: 'sum', values }
}
