// The store: the only room with SQL. SQLite behind a thread, segment files, marks, backup.
export {
  type BackupManifest,
  type BackupOptions,
  backup,
  type DomainCount,
  type RestoreOptions,
  RestorePreview,
  restore,
} from './backup/index.ts'
export { isStoreError, StoreError, type StoreErrorCode, storeErrorCodes } from './errors.ts'
export { inlineMaxBytes } from './segments/index.ts'
export { DataLock } from './sqlite/lock.ts'
export { walPath } from './sqlite/writer.ts'
export type { StoreClient } from './thread/client.ts'
export type { ControlClient } from './thread/control-client.ts'
export { openThreadStore, type ThreadStore, type ThreadStoreOptions } from './thread/open-client.ts'
export type { StoreOptions } from './thread/open-service.ts'
export { type StoreHost, type StoreWatch, startStoreInProcess, startStoreThread } from './thread/start.ts'
