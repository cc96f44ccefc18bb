// Puts writer, group commit and service together: the same in the store thread and in-process.

import type { PackedStoreError } from '../errors.ts'
import { StoreWriter, type WriterOptions } from '../sqlite/writer.ts'
import { ControlCalls } from './control-calls.ts'
import { GroupCommitter } from './group.ts'
import { StoreService } from './service.ts'

/** See WriterOptions. */
export type StoreOptions = WriterOptions

/** A running service over an open writer. */
export interface OpenedStore {
  readonly service: StoreService
  readonly close: () => void
}

/** Opens the data folder and serves it. Throws StoreError. @param onFatal told once, when the process should end. */
export function openService(options: StoreOptions, onFatal: (error: PackedStoreError) => void): OpenedStore {
  const writer = StoreWriter.open(options)
  const group = new GroupCommitter(writer, onFatal)
  const service = new StoreService(group, new ControlCalls(writer, group))
  return {
    service,
    close: () => {
      service.close()
      writer.close()
    },
  }
}
