// The SMTP server engine: what a listener needs to serve a connection.

export type {
  ContentAcceptance,
  ContentFacts,
  ContentSink,
  MailParameters,
  MaybePromise,
  RcptParameters,
  RefusedPart,
  SaslCredentials,
  SmtpPath,
  SmtpSessionFacts,
  SmtpSessionHandler,
} from './handler.ts'
export type { CloseReason, SmtpSessionObserver, SmtpSessionSummary } from './observer.ts'
export {
  defaultSmtpServerLimits,
  type SmtpServerLimits,
  type SmtpServerOptions,
  type SmtpServerTls,
  smtpServerOptions,
} from './options.ts'
export { type SmtpServerSession, type SmtpServerSessionPorts, serveSmtpSession } from './session.ts'
export { type RunningTicker, startTicker, type Ticker, type Ticking } from './ticker.ts'
export type { BorrowedReads } from './wire.ts'
