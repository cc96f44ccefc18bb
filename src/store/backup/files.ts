// File work shared by backup and restore: empty targets, copies that are on disk before anybody is told.

import { chmodSync, constants, copyFileSync, lstatSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeFolderDurably, syncPath } from '../../base/index.ts'
import { StoreError } from '../errors.ts'

/**
 * Makes an empty folder, or takes an existing empty one; `PR_BACKUP_TARGET` when something is in it.
 * @param next what to do then
 */
export function emptyFolder(path: string, what: string, next: string): void {
  try {
    makeFolderDurably(path)
  } catch (error) {
    throw new StoreError('PR_BACKUP_TARGET', `${what} ${path} cannot be made: ${String(error)}`, {
      cause: error,
    })
  }
  if (readdirSync(path).length > 0)
    throw new StoreError('PR_BACKUP_TARGET', `${what} ${path} is not empty; ${next}`)
}

/** Copies a file, for its owner only, and syncs the copy. */
export function copyDurably(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  // The copy has the mode of its source, whatever the umask says.
  chmodSync(to, 0o600)
  syncPath(to)
}

/** Copies a folder's plain files, deeply; sockets and links are left out. @param isWanted asked for the top level only. */
export function copyTree(
  from: string,
  to: string,
  isWanted: (name: string) => boolean,
  except: string,
): void {
  makeFolderDurably(to)
  for (const name of readdirSync(from)) {
    const source = join(from, name)
    if (!isWanted(name) || resolve(source) === resolve(except)) continue
    const status = lstatSync(source)
    if (status.isDirectory()) copyTree(source, join(to, name), () => true, except)
    else if (status.isFile()) copyDurably(source, join(to, name))
  }
  syncPath(to)
}
