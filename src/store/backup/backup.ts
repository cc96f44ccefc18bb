// Copies a data folder while a server may be writing to it: a folder that `restore` takes.
//
// 1. Lock segments/hold: from now on the store deletes no segment (the lock of a dead process is gone).
// 2. VACUUM INTO through a read-only connection: one consistent snapshot of the database, accounts and events included.
// 3. Copy every segment that the snapshot names: its bytes were synced before the snapshot's commits.
// 4. Copy the other files (secret.key, certificates, …), write the manifest last, free the lock.
//
// When it fails, nothing is left in its folder: it may lie on the disk of the server, which would refuse mail for want of room.
// Blocks the calling thread: made for a process of its own (`postrider backup`).

import { join } from 'node:path'
import { makeFolderDurably, syncPath, writeFileDurably } from '../../base/index.ts'
import { StoreError } from '../errors.ts'
import { segmentDir, segmentPath } from '../segments/index.ts'
import { Database } from '../sqlite/database.ts'
import { liveExtents } from '../sqlite/live-extents.ts'
import { checkSchema } from '../sqlite/migrate.ts'
import { SegmentHold } from '../sqlite/segment-hold.ts'
import { databasePath } from '../sqlite/writer.ts'
import { copyDurably, copyTree, emptyAgain, emptyFolder } from './files.ts'
import { type BackupManifest, copiedDatabase, isLeftOut, manifestName } from './paths.ts'

export interface BackupOptions {
  readonly dataDir: string
  /** A folder that is empty or does not exist. */
  readonly target: string
  readonly nowMs: number
}

/**
 * Makes a backup. Throws StoreError, with the target empty again. What a kill leaves has no manifest, and `restore` refuses
 * it.
 */
export function backup(options: BackupOptions): BackupManifest {
  const { dataDir, target } = options
  emptyFolder(target, 'the backup folder', 'name a new folder')
  const segments = segmentDir(dataDir)
  try {
    using _hold = SegmentHold.take(segments)
    const manifest = snapshot(options)
    copySegments(join(target, copiedDatabase), segments, segmentDir(target))
    copyTree(dataDir, target, name => !isLeftOut(name), target)
    writeFileDurably(join(target, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, 0o600)
    return manifest
  } catch (error) {
    emptyAgain(target)
    if (error instanceof StoreError) throw error
    throw new StoreError('PR_BACKUP_TARGET', `the backup into ${target} failed: ${String(error)}`, {
      cause: error,
    })
  }
}

function snapshot({ dataDir, target, nowMs }: BackupOptions): BackupManifest {
  const copy = join(target, copiedDatabase)
  using db = Database.openReader(databasePath(dataDir))
  const schema = checkSchema(db)
  db.exec(`VACUUM INTO '${copy.replaceAll("'", "''")}'`)
  syncPath(copy)
  using copied = Database.openReader(copy)
  const count = (table: string): number =>
    (copied.prepare(`SELECT count(*) FROM ${table}`).get() as unknown as [number])[0]
  return {
    format: 1,
    createdAt: new Date(nowMs).toISOString(),
    schema,
    messages: count('message'),
    recipients: count('recipient'),
  }
}

function copySegments(database: string, from: string, to: string): void {
  using db = Database.openReader(database)
  makeFolderDurably(to)
  const named = new Set<number>()
  for (const extents of liveExtents(db)) for (const extent of extents) named.add(extent.segment)
  for (const segment of named) copyDurably(segmentPath(from, segment), segmentPath(to, segment))
  syncPath(to)
}
