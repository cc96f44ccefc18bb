// Opens a thread's side of the store: its line to the store thread and a read-only connection of its own.

import type { MessagePort } from 'node:worker_threads'
import { segmentDir } from '../segments/paths.ts'
import { SegmentReader } from '../segments/reader.ts'
import { ContentReader } from '../sqlite/content-reader.ts'
import { Database } from '../sqlite/database.ts'
import { databasePath } from '../sqlite/writer.ts'
import { StoreClient } from './client.ts'
import { StoreConnection } from './connection.ts'

/** Everything of the store that one thread uses. */
export interface ThreadStore extends AsyncDisposable {
  readonly queue: StoreClient
  /** The line itself: control-plane calls of the store's own. */
  readonly connection: StoreConnection
}

/** Opens a thread's side. @param port from `StoreHost.connect()`. Throws StoreError. */
export function openThreadStore(dataDir: string, port: MessagePort): ThreadStore {
  const reader = Database.openReader(databasePath(dataDir))
  const segments = new SegmentReader(segmentDir(dataDir))
  const connection = new StoreConnection(port)
  return {
    queue: new StoreClient(connection, new ContentReader(reader, segments)),
    connection,
    async [Symbol.asyncDispose](): Promise<void> {
      connection.close()
      await segments.close()
      reader.close()
    },
  }
}
