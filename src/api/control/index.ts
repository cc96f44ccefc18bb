// The control door: a Unix socket for the operator's commands, its server and its client.
export { ControlClient, type ControlClientResult, connectControl } from './client.ts'
export type { MessageListRow } from './messages.ts'
export type { ControlPorts, ControlThreads, LabCommand, ListenerFacts, ServerFacts } from './ports.ts'
export type { QueueRowJson, RecipientJson, WaitReasonJson } from './recipient-json.ts'
export {
  ControlServer,
  type ControlServerOptions,
  type ControlServerResult,
  startControlServer,
} from './server.ts'
export { findSocket, type ShortFolders } from './socket-path.ts'
export type { ControlError, ControlOutcome } from './wire.ts'
