// Opens a thread's side of the store: its line to the store thread, a read-only connection, its segment files and marks.
//
// Place: the composition of each relay thread and of the main thread. Invariant: one side a
// thread, closed before the host.

import type { MessagePort } from 'node:worker_threads'
import type { AccountReader, AccountStore } from '../../accounts/index.ts'
import type { EndOfDataMarks, HostMemory } from '../../delivery/index.ts'
import type { EventReader } from '../../events/index.ts'
import type { ContentSpool } from '../../queue/index.ts'
import { MarkFile, markDir } from '../marks/index.ts'
import { SegmentReader, SegmentSpool, segmentDir } from '../segments/index.ts'
import { SqliteAccountReader } from '../sqlite/account-reader.ts'
import { ContentReader } from '../sqlite/content-reader.ts'
import { Database } from '../sqlite/database.ts'
import { SqliteEventReader } from '../sqlite/event-reader.ts'
import { SqliteHostMemory } from '../sqlite/host-memory.ts'
import { QueueReader } from '../sqlite/queue-reader.ts'
import { databasePath } from '../sqlite/writer.ts'
import { StoreClient } from './client.ts'
import type { CommitFacts } from './commit-tally.ts'
import { StoreConnection } from './connection.ts'
import { AccountClient, ControlClient } from './control-client.ts'
import { writeSealed, writeTlsSeen } from './request-codec.ts'

/** Everything of the store that one thread uses. Dispose it before the host is closed. */
export interface ThreadStore extends AsyncDisposable {
  readonly queue: StoreClient
  readonly spool: ContentSpool
  readonly marks: EndOfDataMarks
  readonly hosts: HostMemory
  readonly events: EventReader
  readonly accounts: AccountReader
  /** Changes accounts; for the main thread. */
  readonly accountStore: AccountStore
  /** Lists and actions; for the main thread. */
  readonly control: ControlClient
  /** Commits since the start, for metrics. */
  commitFacts(): Promise<CommitFacts>
  /** Copies the write-ahead log into the database; rejects with what the disk says. */
  checkpoint(): Promise<void>
  /** One small commit: rejects while the disk refuses. */
  probe(): Promise<void>
  /** CPU time of the store thread so far, in microseconds. */
  storeCpu(): Promise<NodeJS.CpuUsage>
}

export interface ThreadStoreOptions {
  readonly dataDir: string
  /** From `StoreHost.connect()`. */
  readonly port: MessagePort
  /** 0 to 63, different in each thread of the process. */
  readonly thread: number
  readonly nowMs: () => number
  /** See SpoolOptions. */
  readonly segmentBytesMax?: number
}

/** Opens a thread's side. Throws StoreError. */
export function openThreadStore(options: ThreadStoreOptions): ThreadStore {
  const { dataDir, nowMs, thread, segmentBytesMax } = options
  const db = Database.openReader(databasePath(dataDir))
  const segments = new SegmentReader(segmentDir(dataDir))
  const connection = new StoreConnection(options.port)
  const spool = new SegmentSpool({
    dir: segmentDir(dataDir),
    thread,
    nowMs,
    ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
    onSealed: segment => connection.tell(to => writeSealed(to, segment)),
  })
  const marks = new MarkFile(markDir(dataDir), thread, nowMs)
  return {
    queue: new StoreClient(connection, new ContentReader(db, segments), spool),
    spool,
    marks,
    hosts: new SqliteHostMemory(
      db,
      (host, atMs) => connection.tell(to => writeTlsSeen(to, host, atMs)),
      nowMs,
    ),
    events: new SqliteEventReader(db),
    accounts: new SqliteAccountReader(db),
    accountStore: new AccountClient(connection),
    control: new ControlClient(connection, new QueueReader(db), nowMs),
    commitFacts: () => connection.call('commitFacts', []) as Promise<CommitFacts>,
    checkpoint: async () => void (await connection.call('checkpoint', [])),
    probe: async () => void (await connection.call('probe', [nowMs()])),
    storeCpu: () => connection.call('threadCpu', []) as Promise<NodeJS.CpuUsage>,
    async [Symbol.asyncDispose](): Promise<void> {
      await spool.close()
      connection.close()
      await segments.close()
      marks[Symbol.dispose]()
      db.close()
    },
  }
}
