// Where the control socket is: in the data folder, or, when that path is too long for the kernel, in a short place.
//
// The kernel takes 107 bytes. A longer path goes into a private folder of the run-time or temporary directory, and
// `control.path` in the data folder names it: for clients, and for the next server, which removes what a kill has left.
// Invariant: the socket lies in a folder that only its owner may change.

import { accessSync, constants, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

const pathSizeBytesMax = 107

/** Where a new server should listen. */
export interface SocketPlace {
  readonly path: string
  /** The file that names it; null when it is in the data folder. */
  readonly pathFile: string | null
  /** A folder made for it, to be removed with it. */
  readonly folder: string | null
}

/** Folders that may hold the socket of a data folder with a long path, best first. */
export interface ShortFolders {
  /** XDG_RUNTIME_DIR. */
  readonly runtimeDir: string | undefined
  /** /run/postrider by default. */
  readonly systemDir?: string
  /** os.tmpdir() */
  readonly temporaryDir: string
}

/** Chooses a place; with a long path it makes the folder and writes `control.path`. Throws what the file system says. */
export function makeSocketPlace(dataDir: string, folders: ShortFolders): SocketPlace {
  const direct = join(dataDir, 'control.sock')
  const pathFile = join(dataDir, 'control.path')
  if (fits(direct)) {
    rmSync(pathFile, { force: true })
    return { path: direct, pathFile: null, folder: null }
  }
  for (const parent of parentsOf(folders)) {
    if (!isWritable(parent)) continue
    // Six random characters and mode 0700: nobody else can have put a socket there, nor put one there later.
    const template = join(parent, 'postrider-')
    if (!fits(`${template}XXXXXX/control.sock`)) continue
    const folder = mkdtempSync(template)
    const path = join(folder, 'control.sock')
    writeFileSync(pathFile, `${path}\n`, { mode: 0o600 })
    return { path, pathFile, folder }
  }
  throw new Error(`no folder is short enough for the control socket of ${dataDir}: choose a shorter data_dir`)
}

/** Where the server of a data folder listens, if one does. */
export function findSocket(dataDir: string): string {
  const direct = join(dataDir, 'control.sock')
  return fits(direct) ? direct : namedPath(dataDir)
}

/**
 * The short place that a server of this data folder has made and not removed; null when there is none. It may be that of a
 * server that runs, on another folder that this one is a copy of.
 */
export function findEarlierPlace(
  dataDir: string,
  folders: ShortFolders,
): { readonly path: string; readonly folder: string } | null {
  const path = namedPath(dataDir)
  const folder = dirname(path)
  // Only what we can have made ourselves, whatever the file says.
  const isOurForm = basename(path) === 'control.sock' && /^postrider-[A-Za-z0-9]{6}$/.test(basename(folder))
  if (!isOurForm || !parentsOf(folders).includes(dirname(folder))) return null
  try {
    const status = lstatSync(folder)
    return status.isDirectory() && status.uid === process.getuid?.() ? { path, folder } : null
  } catch {
    return null
  }
}

function parentsOf({ runtimeDir, systemDir, temporaryDir }: ShortFolders): string[] {
  const parents = [runtimeDir ?? '', systemDir ?? '/run/postrider', temporaryDir]
  return parents.filter(parent => parent !== '').map(parent => resolve(parent))
}

/** What `control.path` names; '' when nobody has ever listened for this folder. */
function namedPath(dataDir: string): string {
  try {
    const named = readFileSync(join(dataDir, 'control.path'), 'utf8').trim()
    return named === '' || !fits(named) ? '' : named
  } catch {
    return ''
  }
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= pathSizeBytesMax
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}
