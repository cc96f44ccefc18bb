// Every metric of Postrider, with what it means, what is healthy, and when to wake somebody up.
//
// Place on the path: beside it. Each thread owns one Metrics and adds to it; at a scrape the main thread collects them
// all and merges them. Labels have few values: never an address, a domain or an account.

import { groupBounds, latencyBounds } from '../base/index.ts'
import {
  type Collected,
  type CollectedMetric,
  Counter,
  Gauge,
  Histogram,
  LabelledCounter,
} from './counters.ts'

/** The metrics of one thread. */
export class Metrics {
  readonly sessions: LabelledCounter = new LabelledCounter({
    name: 'postrider_sessions_total',
    help: 'SMTP sessions, by kind of listener. Counted as they begin, before TLS and greeting; those that are refused by the address that a proxy names are in `postrider_sessions_refused_total` as well.',
    healthy: 'Follows the traffic of your applications.',
    alert: 'None by itself; zero for long where there is always traffic.',
    label: 'kind',
    labelValues: ['submission', 'submissions', 'relay'],
  })
  readonly sessionsOpen: Gauge = new Gauge({
    name: 'postrider_sessions_open',
    help: 'SMTP sessions open now.',
    healthy: 'Well under limits.sessions.',
    alert: 'Over 80 % of limits.sessions for 5 minutes.',
  })
  readonly sessionsRefused: LabelledCounter = new LabelledCounter({
    name: 'postrider_sessions_refused_total',
    help: 'Connections turned away before the greeting, by reason.',
    healthy: 'Zero but for scanners.',
    alert: 'A rate above zero for 10 minutes with the reason `server-busy`.',
    label: 'reason',
  })
  readonly sessionsCutOff: LabelledCounter = new LabelledCounter({
    name: 'postrider_sessions_cut_off_total',
    help: 'Sessions ended for what their clients did or did not do, by reason; the log says from where (`session.cut-off`).',
    healthy: 'Near zero but for scanners (`tls-failed`, `not-smtp`, `early-talker`).',
    alert:
      'None by itself; `pipelining`, `errors` or `content-slow` from an application of your own: look at it.',
    label: 'reason',
  })
  readonly logins: LabelledCounter = new LabelledCounter({
    name: 'postrider_logins_total',
    help: 'AUTH commands, by result.',
    healthy: 'Almost all succeeded.',
    alert:
      'Failed ones above one a second for 10 minutes: somebody guesses, or an application has an old secret.',
    label: 'result',
    labelValues: ['succeeded', 'failed'],
  })
  readonly accepted: LabelledCounter = new LabelledCounter({
    name: 'postrider_messages_accepted_total',
    help: 'Messages that were answered 250, by door.',
    healthy: 'Follows the traffic of your applications.',
    alert: 'Zero for long where there is always traffic.',
    label: 'door',
    labelValues: ['smtp', 'local'],
  })
  readonly rejected: LabelledCounter = new LabelledCounter({
    name: 'postrider_messages_rejected_total',
    help: 'Messages and recipients refused at the door, by reason; `protocol` is what the SMTP engine refuses to clients that may send.',
    healthy: 'Near zero for applications of your own.',
    alert:
      'More than 5 % of the accepted ones for 10 minutes, `{reason!~"authentication-.*"}`: those two are mostly strangers; any `store-failed`.',
    label: 'reason',
  })
  readonly outcomes: LabelledCounter = new LabelledCounter({
    name: 'postrider_outcomes_total',
    help: 'What attempts led to for recipients, by kind. What an operator ends (`queue expire`) is in the event log only; `suppressed` and `cancelled` are reserved.',
    healthy: 'Mostly delivered; bounced under 2 %.',
    alert: 'Bounced above 5 % of delivered for an hour: your reputation suffers.',
    label: 'kind',
    labelValues: ['delivered', 'deferred', 'bounced', 'expired', 'suppressed', 'cancelled'],
  })
  readonly queue: Gauge = new Gauge({
    name: 'postrider_queue_recipients',
    help: 'Recipients in the queue, by state.',
    healthy: 'Scheduled ones fall back after each peak; held only what you hold.',
    alert: 'Scheduled ones growing for an hour.',
    label: 'state',
  })
  readonly readyRecipients: Gauge = new Gauge({
    name: 'postrider_ready_queue_recipients',
    help: 'Recipients in memory, those that wait for a connection and those in an attempt.',
    healthy: 'Under limits.ready_queue_recipients.',
    alert: 'At the limit for 15 minutes: a site is slower than your traffic.',
  })
  readonly readyBytes: Gauge = new Gauge({
    name: 'postrider_ready_queue_bytes',
    help: 'Content in memory for recipients that wait for a connection.',
    healthy: 'Under limits.ready_queue_size.',
    alert: 'None; beyond the limit content is read from disk.',
  })
  readonly connectionsOpen: Gauge = new Gauge({
    name: 'postrider_connections_open',
    help: 'Outgoing SMTP connections open now.',
    healthy: 'Under delivery.connections_total.',
    alert: 'At the limit for 15 minutes.',
  })
  readonly connections: LabelledCounter = new LabelledCounter({
    name: 'postrider_connections_total',
    help: 'Outgoing SMTP connections, by how they began.',
    healthy: 'Mostly tls; failed ones are hosts that are down.',
    alert: 'Failed above half of all for 15 minutes: look at your own network.',
    label: 'result',
    labelValues: ['tls', 'clear', 'failed'],
  })
  readonly acceptSeconds: Histogram = new Histogram(
    {
      name: 'postrider_accept_seconds',
      help: 'From the end of the content to the answer 250: checks, signature and commit.',
      healthy: 'p99 under 0.1.',
      alert: 'p99 above 1 for 10 minutes: the disk or the machine is too slow.',
    },
    latencyBounds,
  )
  readonly deliverySeconds: Histogram = new Histogram(
    {
      name: 'postrider_accepted_to_delivered_seconds',
      help: 'From DATA, where a message gets its id, to the delivery of a recipient, whatever attempts it took: the upload, the signature and the commit are in it.',
      healthy: 'p50 under 1; the tail is greylisting and slow receivers.',
      alert: 'p50 above 60 for 15 minutes.',
    },
    latencyBounds,
  )
  readonly commitSeconds: Histogram = new Histogram(
    {
      name: 'postrider_store_commit_seconds',
      help: 'How long a commit takes, its sync to disk included.',
      healthy: 'p99 under 0.05 on an SSD.',
      alert: 'p99 above 0.5 for 10 minutes.',
    },
    latencyBounds,
  )
  readonly commitSize: Histogram = new Histogram(
    {
      name: 'postrider_store_commit_operations',
      help: 'How many operations shared one commit.',
      healthy: 'Grows with the load.',
      alert: 'None.',
    },
    groupBounds,
  )
  readonly eventLoopDelay: Gauge = new Gauge(
    {
      name: 'postrider_event_loop_delay_seconds',
      help: 'How long the event loop was late since the last scrape, the worst of main and relay threads; what the store takes is in `postrider_store_commit_seconds`.',
      healthy: 'p99 under 0.02.',
      alert: 'p99 above 0.2 for 5 minutes.',
      label: 'quantile',
    },
    'max',
  )
  readonly memory: Gauge = new Gauge({
    name: 'postrider_memory_bytes',
    help: 'Memory by kind: `resident` of the process, `heap` and `external` of main and relay threads together.',
    healthy: 'Level under a level load, whatever the length of the queue.',
    alert: 'Resident growing for a day under a level load.',
    label: 'kind',
  })
  readonly info: Gauge = new Gauge(
    {
      name: 'postrider_info',
      help: 'Always 1; the label says which version runs.',
      healthy: '1.',
      alert: 'Absent: the server is down.',
      label: 'version',
    },
    'max',
  )
  readonly started: Gauge = new Gauge(
    {
      name: 'postrider_start_time_seconds',
      help: 'When the process started, seconds since 1970.',
      healthy: 'Does not change.',
      alert: 'changes(postrider_start_time_seconds[1h]) > 3',
    },
    'max',
  )
  readonly commitsFailed: Counter = new Counter({
    name: 'postrider_commits_failed_total',
    help: 'Commits that failed. Each operation of such a commit is tried alone, and one that fails again counts once more (its message is answered 452), as does each probe of a disk that refuses, every two seconds.',
    healthy: 'Zero.',
    alert: 'Any.',
  })

  /** All of them, in the order of the reference page. */
  all(): Collected[] {
    return Object.values(this)
  }

  /** The values now, as plain data that can be posted to the main thread. */
  collect(): CollectedMetric[] {
    return this.all().map(one => one.collect())
  }
}

/** The text of a scrape from what all threads collected. */
export async function mergeMetrics(collected: readonly (readonly CollectedMetric[])[]): Promise<string> {
  // Loaded at the first scrape, and only by the thread that answers it: it weighs several MB.
  const { AggregatorRegistry } = await import('prom-client')
  return await AggregatorRegistry.aggregate(collected as CollectedMetric[][]).metrics()
}

/** Content-Type of {@link mergeMetrics}. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'
