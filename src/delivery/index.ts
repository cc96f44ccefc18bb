// Delivery: from a leased recipient to its host and back to an outcome.
export * from './classify/index.ts'
export type { PeerSession, SessionOpener, SessionResult } from './connection.ts'
export type { PlanSource } from './destinations.ts'
export { DeliveryEngine } from './engine.ts'
export type { DeliveryGauges, DeliveryPorts } from './engine-ports.ts'
export type { ConnectionBegin } from './open-connection.ts'
export { type DeliveryOptions, defaultDeliveryOptions, type EgressSource } from './options.ts'
export type { EndOfDataMarks, HostMemory, Resigner } from './port.ts'
export type { ReportDraft, ReportFactory, ReportIdentity } from './report.ts'
export { type ReportMessageFacts, reportMessage } from './report-message.ts'
export * from './resolve/index.ts'
export {
  parseSmarthost,
  type Route,
  RouteTable,
  type RouteTls,
  type Smarthost,
  smarthostKey,
} from './route.ts'
export type { OutcomeSink } from './settling.ts'
