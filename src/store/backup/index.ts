// Backup and restore of a data folder, running or stopped.
export { type BackupOptions, backup } from './backup.ts'
export type { BackupManifest } from './paths.ts'
export { type DomainCount, RestorePreview } from './preview.ts'
export { type RestoreOptions, restore } from './restore.ts'
