// The lab's DNS server: zones as data, faults on demand, on loopback. Used by tests and by `postrider lab`.

export type { LabDnsFault, LabDnsFaultAt } from './fault.ts'
export { type LabDns, type LabDnsCounters, type LabDnsOptions, startLabDns } from './server.ts'
export type { LabRecord, LabRecordData, LabRecordType, LabZone } from './zone.ts'
