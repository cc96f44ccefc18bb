// The lab: a small internet on loopback for tests and users. `startLab` is all that most need.

export { type LabBehaviour, type LabConnect, type LabTls, ordinaryBehaviour } from './behaviour.ts'
export { createLabClock, type LabClock, type MovableClock, systemLabClock } from './clock.ts'
export {
  type InboxMessageJson,
  type InboxRowJson,
  type LabCommand,
  type LabHostJson,
  labCommands,
} from './control.ts'
export * from './dns/index.ts'
export { type LabDomainSpec, type LabHostSpec, labDomains, labHosts } from './hosts.ts'
export { Inbox, type InboxEntry, type InboxLimits, type InboxRecipient } from './inbox.ts'
export { isLabAddress, type Lab, type LabOptions, startLab } from './lab.ts'
export { type MagicAddress, magicAddresses } from './magic.ts'
export { type LabPreset, labPresets } from './presets.ts'
export type { LabCounters } from './receiver.ts'
export { labReference } from './reference.ts'
