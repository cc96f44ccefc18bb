// What the engine needs of the rest of the program, and what it shows of itself.

import type { Clock } from '../base/index.ts'
import type { SmtpDial, SmtpTicker } from '../protocol/smtp/client/index.ts'
import type { Room } from '../queue/ready/index.ts'
import type { SessionOpener } from './connection.ts'
import type { ContentReader } from './content.ts'
import type { PlanSource } from './destinations.ts'
import type { ConnectionBegin } from './open-connection.ts'
import type { EndOfDataMarks, HostMemory, Resigner } from './port.ts'
import type { ReportFactory, ReportIdentity } from './report.ts'
import type { RouteTable } from './route.ts'
import type { OutcomeSink } from './settling.ts'

/** Everything that the engine needs of the rest of the program. */
export interface DeliveryPorts {
  readonly clock: Clock
  /** From 0 up to but without 1. */
  readonly random: () => number
  /** Tells the time about once a second, for deadlines and idle connections. */
  readonly ticker: SmtpTicker
  readonly planner: PlanSource
  readonly routes: RouteTable
  readonly room: Room
  readonly sink: OutcomeSink
  readonly content: ContentReader
  readonly marks: EndOfDataMarks
  readonly memory: HostMemory
  readonly resigner: Resigner
  readonly reportIdentity: ReportIdentity
  readonly makeReport: ReportFactory
  /** So much of reports waits for the disk that further ones must be small; never, by default. */
  readonly areReportsCrowded?: () => boolean
  /** The word in the greeting of our own doors: a host that says it is this server itself, whatever its address. */
  readonly ownGreetingId?: string
  /** Faults that cost no message (a report that could not be made). */
  onFault(error: unknown): void
  /** Default `net.connect`. */
  readonly connect?: SmtpDial
  /** Default `connectSmtp`: the seam at which a simulation puts next hops of its own. */
  readonly openSession?: SessionOpener
  /** Told how each dialling ended, for metrics. */
  readonly onConnection?: (result: ConnectionBegin) => void
}

/** Gauges for metrics. */
export interface DeliveryGauges {
  readonly recipientsInHand: number
  readonly contentBytes: number
  readonly batchesInFlight: number
  readonly connections: number
  readonly nextHops: number
}
