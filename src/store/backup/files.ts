// File work shared by backup and restore: empty targets, copies that are on disk before anybody is told.
//
// Root may be at work here between folders of others: no link is followed and none is copied. A running server makes and
// removes files meanwhile.

import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { makeFolderDurably, openedPath, syncPath } from '../../base/index.ts'
import { StoreError } from '../errors.ts'
import { copiedDatabase, manifestName } from './paths.ts'

/**
 * Makes an empty folder, or takes an existing empty one; `PR_BACKUP_TARGET` when something is in it.
 * @param next what to do then
 * @param isOurs what may be there
 */
export function emptyFolder(
  path: string,
  what: string,
  next: string,
  isOurs: (name: string) => boolean = () => false,
): void {
  try {
    makeFolderDurably(path)
  } catch (error) {
    throw new StoreError('PR_BACKUP_TARGET', `${what} ${path} cannot be made: ${String(error)}`, {
      cause: error,
    })
  }
  if (!readdirSync(path).every(isOurs))
    throw new StoreError('PR_BACKUP_TARGET', `${what} ${path} is not empty; ${next}`)
}

/**
 * Copies a file, for its owner only, and syncs the copy. Throws when it is not a plain one: root may be at work between
 * folders of others, and follows no link there.
 */
export function copyDurably(from: string, to: string): void {
  if (!lstatSync(from).isFile()) throw new Error(`${from} is not a file`)
  withOpen(from, source =>
    copyFileSync(openedPath(source, from), to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL),
  )
  withOpen(to, copy => {
    // The copy has the mode of its source, whatever the umask says.
    fchmodSync(copy, 0o600)
    fsyncSync(copy)
  })
}

function withOpen(path: string, work: (descriptor: number) => void): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    work(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Copies a folder's plain files, deeply. Sockets and links are left out, and so are backups, finished or not, and data
 * folders in it: each would hold all that were made before it. What vanishes meanwhile is no fault.
 * @param isWanted asked for the top level only
 */
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
    const status = lstatSync(source, { throwIfNoEntry: false })
    if (status?.isDirectory()) {
      if (!hasDatabase(source)) copyTree(source, join(to, name), () => true, except)
    } else if (status?.isFile()) copyUnlessGone(source, join(to, name))
  }
  syncPath(to)
}

function hasDatabase(folder: string): boolean {
  return existsSync(join(folder, copiedDatabase)) || existsSync(join(folder, manifestName))
}

function copyUnlessGone(from: string, to: string): void {
  try {
    copyDurably(from, to)
  } catch (error) {
    const isGone = lstatSync(from, { throwIfNoEntry: false }) === undefined
    if (!isGone || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Removes what a failed backup has put into its folder, as far as the disk lets it. */
export function emptyAgain(path: string): void {
  try {
    for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true })
  } catch {
    // Why the backup failed is what counts.
  }
}
