// The lab: a small internet on loopback for tests and users. `startLab` is all that most need.

export { type LabBehaviour, type LabConnect, type LabTls, ordinaryBehaviour } from './behaviour.ts'
export { createLabClock, type LabClock, type MovableClock, systemLabClock } from './clock.ts'
export * from './dns/index.ts'
export { Inbox, type InboxEntry, type InboxLimits, type InboxRecipient } from './inbox.ts'
export { isLabAddress, type Lab, type LabOptions, startLab } from './lab.ts'
export { type MagicAddress, magicAddresses } from './magic.ts'
export type { LabCounters } from './receiver.ts'
