// Puts writer, group commit and service together: the same in the store thread and in-process.

import { StoreWriter, type WriterOptions } from '../sqlite/writer.ts'
import { ControlCalls } from './control-calls.ts'
import { type CommitObserver, GroupCommitter } from './group.ts'
import { StoreService } from './service.ts'

/** See WriterOptions. */
export type StoreOptions = WriterOptions

/** A running service over an open writer. */
export interface OpenedStore {
  readonly service: StoreService
  readonly clockBehindMs: number
  readonly close: () => void
}

/** Opens the data folder and serves it. Throws StoreError. */
export function openService(options: StoreOptions, observer: CommitObserver): OpenedStore {
  const writer = StoreWriter.open(options)
  const group = new GroupCommitter(writer, observer)
  const service = new StoreService(group, new ControlCalls(writer, group))
  return {
    service,
    clockBehindMs: writer.clockBehindMs,
    close: () => {
      service.close()
      writer.close()
    },
  }
}
