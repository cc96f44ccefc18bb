// Where the control socket is: in the data folder, or, when that path is too long for the kernel, in a short place.
//
// The kernel takes 107 bytes. A longer path goes into a private folder of the run-time or temporary directory, and
// `control.path` in the data folder names it. Invariant: the socket lies in a folder that only its owner may change.

import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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
  const parents = [folders.runtimeDir, folders.systemDir ?? '/run/postrider', folders.temporaryDir]
  for (const parent of parents) {
    if (parent === undefined || parent === '' || !isWritable(parent)) continue
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
  if (fits(direct)) return direct
  try {
    const named = readFileSync(join(dataDir, 'control.path'), 'utf8').trim()
    return named === '' || !fits(named) ? '' : named
  } catch {
    // Nobody has ever listened for this folder: the caller finds no server.
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
