/**
 * Real programs for tests and benches: installing them (`installPeers`), starting them on loopback from
 * folders of their own, and reading back what they received. Every launcher returns when the program answers
 * and is ended by `await using`. Linux; the receivers need root.
 */
export { freePort } from '../free-port.ts'
export {
  type Certificate,
  type CertificateOptions,
  type KeyKind,
  makeCertificate,
  makeCertificateAuthority,
} from './certificate.ts'
export { type ChasquidReceiverOptions, startChasquidReceiver } from './chasquid.ts'
export { type Knot, type KnotZone, startKnot, startUnbound, type Unbound } from './dns.ts'
export { type EximReceiverOptions, startEximReceiver } from './exim.ts'
export { type InstallOptions, installPeers, missingPeers, type PeersReport } from './install.ts'
export {
  type DkimVerdict,
  type OpendkimReport,
  verifyAllWithOpendkim,
  verifyWithOpendkim,
} from './opendkim.ts'
export { type OpenSmtpdReceiverOptions, startOpenSmtpdReceiver } from './opensmtpd.ts'
export { type PostfixReceiverOptions, startPostfix, startPostfixReceiver } from './postfix.ts'
export { type Postgrey, policyQuestion, startPostgrey } from './postgrey.ts'
export {
  isListening,
  Program,
  type ProgramOptions,
  type RunOptions,
  type RunResult,
  run,
  runOrThrow,
} from './process.ts'
export type { Receiver, ReceiverOptions } from './receiver.ts'
export { type ReceivedMail, Recorder } from './recorder.ts'
export { type Rspamd, type RspamdReport, startRspamd } from './rspamd.ts'
export { Scratch } from './scratch.ts'
export { type SendmailReceiverOptions, startSendmailReceiver } from './sendmail.ts'
export {
  runSmtpSource,
  type SmtpSink,
  type SmtpSourceOptions,
  type SmtpSourceResult,
  startSmtpSink,
} from './smtp-load.ts'
export { type SmtpServerReceiverOptions, startSmtpServerReceiver } from './smtp-server.ts'
