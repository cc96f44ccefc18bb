// The command line program.
export type { Application, BackupPreview, BackupSummary } from './application.ts'
export { type Io, processIo } from './io.ts'
export { runCli } from './run.ts'
