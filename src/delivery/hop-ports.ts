// What a next hop is, and what it asks of the engine.

import type { Clock } from '../base/index.ts'
import type { Connection } from './connection.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { EgressPath } from './egress-path.ts'
import type { HopHosts } from './hop-hosts.ts'
import type { HostFailure } from './host-failure.ts'
import type { NextHop } from './next-hop.ts'
import type { ConnectionOpener } from './open-connection.ts'
import type { DeliveryOptions } from './options.ts'
import type { ConnectionPool } from './pool.ts'
import type { Smarthost } from './route.ts'
import type { StepLine } from './step-line.ts'
import type { TlsPolicy } from './tls-policy.ts'

/** Where a next hop leads. */
export interface HopTarget {
  readonly key: string
  readonly port: number
  readonly policy: TlsPolicy
  readonly smarthost: Smarthost | null
  readonly site: string
  readonly path: EgressPath
  readonly hosts: HopHosts
}

/** What a next hop asks of the engine. */
export interface HopPorts {
  readonly opener: ConnectionOpener
  readonly pool: ConnectionPool
  readonly steps: StepLine
  readonly clock: Clock
  readonly options: DeliveryOptions
  /** Aborted when the engine stops: a connection that opens then is of no use. */
  readonly signal: AbortSignal
  /** Runs a batch on a connection; the engine calls `ran` when it is over. */
  run(batch: DeliveryBatch, connection: Connection, hop: NextHop): void
  /** Ends a batch that waited here past its expiry; false when it may still go. */
  expire(batch: DeliveryBatch): boolean
  /** No host could be reached for this batch. */
  failed(batch: DeliveryBatch, failures: readonly HostFailure[]): void
  /** The hosts take so long to answer that this batch should not wait in memory. */
  postpone(batch: DeliveryBatch): void
  /** Where this batch goes has to be asked again. */
  placeAgain(batch: DeliveryBatch): void
}
