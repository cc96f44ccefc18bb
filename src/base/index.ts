// The few things that every room may use: ids, names, servers as people write them, clock, packed bytes, lists of parts,
// counted values, words of a shell, names in a sentence, small durable files, a folder for another user.
export { type Clock, systemClock, systemTimers, type Timers } from './clock.ts'
export { type ClockJump, ClockWatch, clockJumpMsMin } from './clock-watch.ts'
export { type Counted, Distribution, groupBounds, latencyBounds } from './distribution.ts'
export { makeFolderDurably, syncPath, writeFileDurably } from './durable-files.ts'
export { firstFew } from './first-few.ts'
export { handOver, type Owner } from './hand-over.ts'
export {
  isHostName,
  parseHostPort,
  parseSmarthost,
  type SmarthostAddress,
  type SocketAddress,
  splitHostPort,
} from './host-port.ts'
export {
  formatId,
  formatMessageId,
  IdGenerator,
  type IdPrefix,
  type MessageId,
  parseId,
  parseRecipientId,
  recipientsMax,
} from './id.ts'
export { checkName, type NameCheck } from './name.ts'
export { openedPath } from './opened-path.ts'
export { PackReader, PackWriter } from './pack.ts'
export type { Parsed } from './parsed.ts'
export { appendPart, type PartSlab } from './parts.ts'
export { shellWord } from './shell-word.ts'
