// Segment files: large contents, appended by relay threads, synced and counted by the store thread.
export { SegmentLedger, type SyncFile } from './ledger.ts'
export { givenUpPath, holdPath, nameOf, segmentDir, segmentOf, segmentPath } from './paths.ts'
export { SegmentReader } from './reader.ts'
export { inlineMaxBytes, SegmentSpool } from './spool.ts'
