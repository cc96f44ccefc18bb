// What the rest of the program may use of the mail format code.

export * from './address.ts'
export { buildDsn, type DsnAction, type DsnRecipient, type DsnRequest, type DsnResult } from './dsn.ts'
export { dsnPortions } from './dsn-size.ts'
export {
  type FromField,
  type Mailbox,
  type MailboxList,
  parseFromField,
  parseMailboxes,
} from './from-field.ts'
export {
  countFields,
  defaultHeaderLimits,
  fieldBytes,
  fieldsInOrder,
  fieldsNamed,
  fieldValue,
  type HeaderBlock,
  type HeaderField,
  type HeaderLimits,
  type HeaderOddity,
  type HeaderScan,
  hiddenRecipientFields,
  scanHeaderBlock,
  withoutFields,
} from './header-block.ts'
export { HeaderCollector, type HeaderProgress } from './header-collector.ts'
export { type ReencodedPieces, type ReencodeMode, reencodeSteps, reencodingsAtOnce } from './reencode.ts'
export { inBlocks, Pacer, runInSlices, Turns } from './steps.ts'
export {
  buildReceived,
  formatDate,
  formatDateField,
  formatMessageIdentifier,
  formatMessageIdField,
  type ReceivedFacts,
} from './trace.ts'
