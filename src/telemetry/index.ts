// Telemetry: the log and the metrics, in one vocabulary.
export {
  type Collected,
  type CollectedMetric,
  Counter,
  Gauge,
  Histogram,
  LabelledCounter,
  type MetricText,
  Tally,
} from './counters.ts'
export {
  createLog,
  hideSecrets,
  type Log,
  type LogFields,
  type LogOptions,
  type LogOutput,
  standardOutput,
} from './log.ts'
export { type LogEventKind, type LogEventName, type LogLevel, logEvents } from './log-events.ts'
export { LogThrottle } from './log-throttle.ts'
export { Metrics, mergeMetrics, metricsContentType } from './metrics.ts'
export { type LateTurn, RuntimeWatch } from './runtime-watch.ts'
