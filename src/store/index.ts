// The store: the only room with SQL. SQLite behind a thread, segment files, marks, backup.
export { StoreError, type StoreErrorCode, storeErrorCodes } from './errors.ts'
export { DataLock } from './sqlite/lock.ts'
export type { StoreClient } from './thread/client.ts'
export { openThreadStore, type ThreadStore } from './thread/open-client.ts'
export type { StoreOptions } from './thread/open-service.ts'
export { type StoreHost, startStoreInProcess, startStoreThread } from './thread/start.ts'
