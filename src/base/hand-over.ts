// Gives a folder, and all that is in it, to another user. Only root can.
//
// Whoever owns the folder now may want root to hand over what belongs to others: between a look at a name and its use,
// the name may lead elsewhere. So no link is followed, each folder is opened and its names are looked up in the very
// folder that was opened (where the system has /proc), root alone can change names in it until all of it is handed
// over, and a file with further names is left alone and named. What vanishes meanwhile is no fault.

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
} from 'node:fs'
import { join } from 'node:path'
import { openedPath } from './opened-path.ts'

/** Who gets it. */
export interface Owner {
  readonly userId: number
  readonly groupId: number
}

/** @returns paths of what was not handed over, since the file has other names, maybe in other folders */
export function handOver(folder: string, owner: Owner): string[] {
  const refused: string[] = []
  const found = lstatSync(folder, { throwIfNoEntry: false })
  // The operator may have put the folder elsewhere; only root's own link counts.
  const isOperatorsLink = found?.isSymbolicLink() && found.uid === 0
  handOverFolder(folder, folder, owner, refused, isOperatorsLink ? 0 : constants.O_NOFOLLOW)
  return refused
}

/** @param shown its path for people. @param follow flags of the open */
function handOverFolder(path: string, shown: string, owner: Owner, refused: string[], follow: number): void {
  const descriptor = openFolder(path, follow)
  if (descriptor === null) return
  try {
    const { mode } = fstatSync(descriptor)
    fchownSync(descriptor, 0, 0)
    fchmodSync(descriptor, 0o700)
    const folder = openedPath(descriptor, path)
    for (const name of namesIn(folder)) handOverEntry(join(folder, name), join(shown, name), owner, refused)
    fchownSync(descriptor, owner.userId, owner.groupId)
    fchmodSync(descriptor, mode & 0o7777)
  } finally {
    closeSync(descriptor)
  }
}

/** None when the folder is gone: an open one can be. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function handOverEntry(path: string, shown: string, owner: Owner, refused: string[]): void {
  const facts = lstatSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return
  if (facts.isDirectory()) {
    handOverFolder(path, shown, owner, refused, constants.O_NOFOLLOW)
    return
  }
  if (facts.uid === owner.userId && facts.gid === owner.groupId) return
  if (facts.isFile() && facts.nlink > 1) {
    refused.push(shown)
    return
  }
  try {
    lchownSync(path, owner.userId, owner.groupId)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** null: it is gone, or no folder any more. */
function openFolder(path: string, follow: number): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | follow)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return null
    throw error
  }
}
