// What the rest of the program may use of the mail format code.

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
