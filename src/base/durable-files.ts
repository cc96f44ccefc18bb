// Small files and folders that must outlive a power cut: their bytes are synced, and so are their names.
//
// A name is an entry of the folder above, and only a sync of that folder makes it durable; syncing the file does not.
// For what is written seldom (keys, first run, folders). Contents and rows have their own ways (store).

import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** Syncs a file or a folder. */
export function syncPath(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Makes a folder, and those above that are missing. Its name is durable on return, also when it was there already: a
 * process that was killed may have made it and not come to the sync.
 */
export function makeFolderDurably(path: string): void {
  const last = resolve(path)
  const first = mkdirSync(last, { recursive: true, mode: 0o700 })
  for (let made = last; ; made = dirname(made)) {
    syncAbove(made)
    if (first === undefined || made === resolve(first) || made === dirname(made)) return
  }
}

/** Above a folder that the operator made may lie one that we must not read: then its name is the operator's care. */
function syncAbove(path: string): void {
  try {
    syncPath(dirname(path))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw error
  }
}

/** Writes a whole file that is there in full or not at all, whatever happens meanwhile. */
export function writeFileDurably(path: string, bytes: string | Buffer, mode: number): void {
  const data = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes
  const folder = dirname(path)
  const unfinished = join(folder, `${basename(path)}.new`)
  rmSync(unfinished, { force: true })
  const descriptor = openSync(unfinished, 'wx', mode)
  try {
    for (let at = 0; at < data.length; ) at += writeSync(descriptor, data, at, data.length - at)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(unfinished, path)
  syncPath(folder)
}
