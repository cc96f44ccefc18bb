// The SMTP client: connects to a peer, runs transactions, says what came of each recipient.
//
// `connectSmtp` makes a session or says at which stage it failed; `session.transact` sends one content to many recipients.
// All other modules of this folder are its inside.

export type { PeerCapabilities } from './capabilities.ts'
export { connectSmtp } from './connect.ts'
export type { ConnectFailure, ConnectResult, ConnectStage } from './connect-result.ts'
export {
  type ClientCredentials,
  type ClientLimits,
  type ClientTimeouts,
  type ClientTlsOptions,
  type ConnectOptions,
  defaultClientLimits,
  defaultClientTimeouts,
  type SmtpDial,
} from './options.ts'
export { Outbox } from './outbox.ts'
export { defaultReplyLimits, type ReplyFault, type ReplyLimits, ReplyReader } from './reply-reader.ts'
export { type SessionFacts, SmtpClientSession } from './session.ts'
export type { SmtpTicker, SmtpTicking } from './ticker.ts'
export { makeClientContext } from './tls.ts'
export type { ResumableSession, TlsFacts } from './tls-types.ts'
export { groupLost } from './transaction-run.ts'
export type {
  RecipientResult,
  SmtpTransaction,
  TransactionContent,
  TransactionFailure,
  TransactionRecipient,
  TransactionResult,
  TransactionStage,
} from './transaction-types.ts'
export type { ConnectionEnd } from './wire.ts'
